"""What every way that pushes must do: the configured database's own, and a Redis layer."""

import threading
import time
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from django_durably.wakeups import CANCELLATIONS, EVENTS, RUNS, Listener, Wakeups, get_wakeups
from tests.support import databases
from tests.support.waiting import eventually
from tests.wakeups.hearing import listening
from tests.wakeups.sites import hint, other_process

pytestmark = pytest.mark.django_db(transaction=True)

needs_push = pytest.mark.skipif(
    databases.chosen() == "mariadb", reason="MariaDB cannot push: it polls, or uses a layer"
)


@pytest.fixture(
    params=[
        pytest.param("", id="database", marks=needs_push),
        pytest.param("redis", id="redis", marks=pytest.mark.redis),
    ]
)
def channel_layer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wakeups(channel_layer: str, settings: Settings) -> Wakeups:
    settings.DURABLY = {"CHANNEL_LAYER": channel_layer or None}
    return get_wakeups()


def threads() -> set[str]:
    return {each.name for each in threading.enumerate() if "wakeups" in each.name}


def test_it_pushes(wakeups: Wakeups) -> None:
    assert wakeups.pushes


def test_a_hint_from_this_process_arrives(wakeups: Wakeups) -> None:
    with listening(wakeups) as ear:
        ear.hears(RUNS, lambda: hint(wakeups, RUNS), timeout=1)


@pytest.mark.process
def test_a_hint_from_another_process_arrives_within_a_second(
    wakeups: Wakeups, channel_layer: str
) -> None:
    with listening(wakeups) as ear, other_process(channel_layer) as other:
        ear.hears(RUNS, lambda: other.publishes(RUNS), timeout=1)
        ear.hears(EVENTS, lambda: other.publishes(f"{RUNS},{EVENTS}"), timeout=1)


@pytest.mark.process
def test_a_process_that_ends_at_once_takes_no_hint_with_it(
    wakeups: Wakeups, channel_layer: str
) -> None:
    with listening(wakeups, [RUNS]) as ear, other_process(channel_layer) as other:
        ear.hears(RUNS, lambda: other.publishes(RUNS))
        first = ear.calls[RUNS]
        other.publishes(f"{EVENTS} {RUNS} {EVENTS} {RUNS}")
        other.ends()
        eventually(lambda: ear.calls[RUNS] > first)


def test_the_last_of_many_hints_is_heard(wakeups: Wakeups) -> None:
    with listening(wakeups, [RUNS]) as ear:
        for _ in range(300):
            hint(wakeups, RUNS)
            latest = time.perf_counter()
        eventually(lambda: not ear.times.empty() and ear.times.get() >= latest)


def test_many_hints_are_merged(wakeups: Wakeups) -> None:
    with listening(wakeups, [RUNS]) as ear:
        before, started = ear.calls[RUNS], time.perf_counter()
        for _ in range(300):
            hint(wakeups, RUNS)
        latest = time.perf_counter()
        eventually(lambda: not ear.times.empty() and ear.times.get() >= latest)
        # One interval may end just before, and one just after.
        assert ear.calls[RUNS] - before <= (time.perf_counter() - started) / 0.01 + 2


def test_hints_from_many_threads_arrive(wakeups: Wakeups) -> None:
    with listening(wakeups, [RUNS]) as ear:

        def publish() -> None:
            for _ in range(50):
                wakeups.publish(RUNS)

        publishers = [threading.Thread(target=publish) for _ in range(4)]
        for each in publishers:
            each.start()
        for each in publishers:
            each.join()
        ear.hears(RUNS, lambda: hint(wakeups, RUNS))


def test_a_listener_hears_the_topics_that_it_asked_for(wakeups: Wakeups) -> None:
    with listening(wakeups, [EVENTS]) as only_events, listening(wakeups) as everything:
        everything.hears(CANCELLATIONS, lambda: hint(wakeups, CANCELLATIONS))
        only_events.hears(EVENTS, lambda: hint(wakeups, EVENTS))
        assert set(only_events.calls) == {EVENTS}


def test_a_later_listener_hears_a_topic_that_nobody_wanted_before(wakeups: Wakeups) -> None:
    with listening(wakeups, [EVENTS]), listening(wakeups, [RUNS]) as later:
        later.hears(RUNS, lambda: hint(wakeups, RUNS))


def test_listeners_share_one_thread_and_the_last_ends_it(wakeups: Wakeups) -> None:
    with listening(wakeups) as first:
        with listening(wakeups):
            assert len(threads()) == 1
        first.hears(RUNS, lambda: hint(wakeups, RUNS))
    assert threads() == set()


def test_listening_begins_again_after_it_ended(wakeups: Wakeups) -> None:
    for _ in range(3):
        with listening(wakeups) as ear:
            ear.hears(RUNS, lambda: hint(wakeups, RUNS))


def test_a_callback_may_close_its_own_listener(wakeups: Wakeups) -> None:
    listeners: list[Listener] = []
    heard = threading.Event()

    def close(topic: str) -> None:
        while not listeners:
            pass
        listeners[0].close()
        heard.set()

    listeners.append(wakeups.listen(close, [RUNS]))
    assert heard.wait(5)
    eventually(lambda: threads() == set())


def test_closing_takes_little_time(wakeups: Wakeups) -> None:
    with listening(wakeups):
        started = time.perf_counter()
        wakeups.close()
        assert time.perf_counter() - started < 1
    assert threads() == set()


def test_an_unknown_topic_is_logged_and_does_not_raise(
    wakeups: Wakeups, caplog: pytest.LogCaptureFixture
) -> None:
    wakeups.publish("rnus")
    assert "unknown wake-up topics: rnus" in caplog.text


@pytest.fixture(autouse=True)
def _no_thread_is_left(wakeups: Wakeups) -> Iterator[None]:
    yield
    wakeups.close()
    assert threads() == set()
