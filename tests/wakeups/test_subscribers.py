import pytest

from django_durably.wakeups.protocol import EVENTS, RUNS, TOPICS
from django_durably.wakeups.subscribers import Subscribers
from tests.wakeups.hearing import Ear


def test_delivers_to_those_who_want_the_topic() -> None:
    subscribers = Subscribers(changed=lambda: None)
    all_topics, only_runs = Ear(), Ear()
    subscribers.add(all_topics, TOPICS)
    subscribers.add(only_runs, [RUNS])

    subscribers.deliver(frozenset({EVENTS, RUNS}))

    assert all_topics.calls == {EVENTS: 1, RUNS: 1}
    assert only_runs.calls == {RUNS: 1}


def test_a_listener_that_raises_is_logged_and_hurts_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(topic: str) -> None:
        raise RuntimeError(f"cannot bear {topic}")

    subscribers = Subscribers(changed=lambda: None)
    ear = Ear()
    subscribers.add(broken, TOPICS)
    subscribers.add(ear, TOPICS)

    subscribers.deliver(frozenset({RUNS}))

    assert ear.calls == {RUNS: 1}
    assert "cannot bear runs" in caplog.text


def test_newcomers_are_greeted_once_and_only_when_their_topics_are_in_force() -> None:
    subscribers = Subscribers(changed=lambda: None)
    ear = Ear()
    subscribers.add(ear, [RUNS, EVENTS])

    subscribers.greet(frozenset({RUNS}))
    assert not ear.calls
    subscribers.greet(TOPICS)
    subscribers.greet(TOPICS)
    assert ear.calls == {RUNS: 1, EVENTS: 1}


def test_a_hint_is_no_greeting() -> None:
    """One that arrives before all topics are in force must not stand for the first calls."""
    subscribers = Subscribers(changed=lambda: None)
    ear = Ear()
    subscribers.add(ear, [RUNS, EVENTS])

    subscribers.deliver(frozenset({RUNS}))
    subscribers.greet()

    assert ear.calls == {RUNS: 2, EVENTS: 1}


def test_everybody_is_greeted_again_after_a_lost_connection() -> None:
    subscribers = Subscribers(changed=lambda: None)
    ear = Ear()
    subscribers.add(ear, [RUNS])
    subscribers.greet()
    subscribers.greet(frozenset({RUNS}), again=True)
    assert ear.calls == {RUNS: 2}


def test_closing_twice_counts_once() -> None:
    changes: list[int] = []
    subscribers = Subscribers(changed=lambda: changes.append(1))
    first, second = Ear(), Ear()
    listener = subscribers.add(first, TOPICS)
    subscribers.add(second, TOPICS)

    listener.close()
    listener.close()
    subscribers.deliver(frozenset({RUNS}))

    assert len(changes) == 3
    assert not first.calls
    assert second.calls == {RUNS: 1}


def test_equal_callbacks_are_two_listeners() -> None:
    subscribers = Subscribers(changed=lambda: None)
    ear = Ear()
    subscribers.add(ear, [RUNS]).close()
    listener = subscribers.add(ear, [RUNS])
    subscribers.add(ear, [RUNS])
    listener.close()
    subscribers.deliver(frozenset({RUNS}))
    assert ear.calls == {RUNS: 1}
