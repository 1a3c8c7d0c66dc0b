"""The outbox: leading edge at once, trailing edge within the interval, nothing lost."""

from threading import Barrier, Thread

from django_durably.wakeups.coalescing import INTERVAL, Outbox
from django_durably.wakeups.protocol import EVENTS, RUNS


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def topics(*names: str) -> frozenset[str]:
    return frozenset(names)


def test_the_first_hint_may_be_sent_at_once() -> None:
    outbox = Outbox(Clock())
    assert outbox.hold(topics(RUNS))
    assert outbox.due_in() == 0
    assert outbox.take_due() == {RUNS}
    assert not outbox
    assert outbox.due_in() is None


def test_a_second_hint_waits_for_the_end_of_the_interval() -> None:
    clock = Clock()
    outbox = Outbox(clock)
    outbox.hold(topics(RUNS))
    outbox.take_due()
    clock.now += INTERVAL / 4

    assert outbox.hold(topics(RUNS))
    assert outbox.take_due() == frozenset()
    due_in = outbox.due_in()
    assert due_in is not None
    assert abs(due_in - INTERVAL * 3 / 4) < 1e-6
    clock.now += INTERVAL
    assert outbox.take_due() == {RUNS}


def test_hints_that_wait_already_need_nobody_else() -> None:
    outbox = Outbox(Clock())
    assert outbox.hold(topics(RUNS))
    assert not outbox.hold(topics(RUNS))
    assert outbox.hold(topics(RUNS, EVENTS))
    assert outbox.take() == {RUNS, EVENTS}


def test_each_topic_has_its_own_interval() -> None:
    outbox = Outbox(Clock())
    outbox.hold(topics(EVENTS))
    outbox.take_due()
    outbox.hold(topics(EVENTS, RUNS))
    assert outbox.take_due() == {RUNS}
    assert outbox.take() == {EVENTS}


def test_what_could_not_be_sent_is_held_again() -> None:
    clock = Clock()
    outbox = Outbox(clock)
    outbox.hold(topics(RUNS))
    lost = outbox.take_due()
    outbox.hold(lost)
    clock.now += INTERVAL
    assert outbox.take_due() == {RUNS}


def test_no_hold_is_lost_between_threads() -> None:
    """Whoever is told that a topic is new takes it: in the end nothing may wait."""
    outbox = Outbox()
    start = Barrier(4)
    taken: list[frozenset[str]] = []

    def publish() -> None:
        start.wait()
        taken.extend(outbox.take() for _ in range(500) if outbox.hold(topics(RUNS)))

    threads = [Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not outbox
    assert topics(RUNS) in taken
