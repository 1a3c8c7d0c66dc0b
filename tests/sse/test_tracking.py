"""Which events a reader has seen, and how long it waits for those that are missing."""

from django_durably.sse.tracking import LEAST_PATIENCE, PATIENCE, Tracker
from django_durably.storage.cursors import Cursor
from django_durably.storage.events import MOST_AWAITED, Snapshot


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def seeing(*ids: int, clock: Clock | None = None) -> Tracker:
    tracker = Tracker(Cursor(100), clock=clock or Clock())
    for id in ids:
        tracker.see(id)
    return tracker


def test_ids_in_their_order_leave_nothing_to_wait_for() -> None:
    assert seeing(101, 102, 103).cursor == Cursor(103)


def test_ids_that_are_passed_over_are_awaited_until_they_come() -> None:
    tracker = seeing(101, 105)
    assert tracker.cursor == Cursor(105, frozenset({102, 103, 104}))
    tracker.see(103)
    tracker.see(106)
    assert tracker.cursor == Cursor(106, frozenset({102, 104}))


def test_where_ids_come_in_their_order_nothing_is_awaited() -> None:
    tracker = Tracker(Cursor(100), in_order=True)
    tracker.see(105)
    assert tracker.cursor == Cursor(105)


def test_what_the_start_awaits_is_awaited() -> None:
    tracker = Tracker(Cursor(100, frozenset({98, 99})))
    tracker.see(99)
    assert tracker.cursor == Cursor(100, frozenset({98}))


def test_a_database_that_tells_nothing_is_waited_for_a_minute() -> None:
    clock = Clock()
    tracker = seeing(103, clock=clock)
    clock.advance(PATIENCE - 1)
    assert tracker.hopeless(None) == []
    clock.advance(1)
    assert tracker.hopeless(None) == [101, 102]


def test_what_comes_at_the_last_moment_is_not_given_up() -> None:
    clock = Clock()
    tracker = seeing(103, clock=clock)
    clock.advance(PATIENCE)
    hopeless = tracker.hopeless(None)
    tracker.see(102)
    tracker.give_up(hopeless)
    assert tracker.cursor == Cursor(103)


def test_a_transaction_that_is_still_open_is_waited_for_however_long() -> None:
    clock = Clock()
    tracker = seeing(102, clock=clock)
    assert tracker.hopeless(Snapshot(first_open=50, next=60)) == []
    clock.advance(1000 * PATIENCE)
    assert tracker.hopeless(Snapshot(first_open=59, next=1000)) == []
    assert tracker.hopeless(Snapshot(first_open=60, next=1000)) == [101]


def test_an_id_is_awaited_for_a_moment_after_all_transactions_are_over() -> None:
    clock = Clock()
    tracker = seeing(102, clock=clock)
    over = Snapshot(first_open=60, next=60)
    assert tracker.hopeless(over) == []
    clock.advance(LEAST_PATIENCE - 1)
    assert tracker.hopeless(over) == []
    clock.advance(1)
    assert tracker.hopeless(over) == [101]


def test_only_so_many_ids_are_awaited_the_newest() -> None:
    tracker = seeing(100 + 5 * MOST_AWAITED)
    tracker.see(102 + 5 * MOST_AWAITED)
    awaited = tracker.cursor.awaited
    assert len(awaited) == MOST_AWAITED
    assert max(awaited) == 101 + 5 * MOST_AWAITED
