"""The newest events in memory: all that a cursor has not seen, or nothing."""

from uuid import UUID

from django_durably.sse.envelopes import Envelope
from django_durably.sse.ring import Ring
from django_durably.storage.cursors import Cursor

START = Cursor(100)


def envelope(id: int, cursor: Cursor | None = None, text: str = "{}") -> Envelope:
    seen = cursor or Cursor(id)
    return Envelope(id, "log:write", UUID(int=1), "job", {}, text, text, seen)


def ring_of(*events: Envelope, most: int = 100, characters: int = 20_000) -> Ring:
    ring = Ring(START, most, characters)
    for event in events:
        ring.append(event)
    return ring


def ids(events: list[Envelope] | None) -> list[int] | None:
    return None if events is None else [event.id for event in events]


def test_it_has_all_since_its_start() -> None:
    ring = ring_of(envelope(101), envelope(102))
    assert ids(ring.after(START, 10)) == [101, 102]
    assert ids(ring.after(Cursor(101), 10)) == [102]
    assert ids(ring.after(Cursor(102), 10)) == []
    assert ids(ring.after(START, 1)) == [101]


def test_it_knows_that_it_lacks_what_was_before_its_start() -> None:
    ring = ring_of(envelope(101))
    assert ring.after(Cursor(99), 10) is None
    assert ring.after(Cursor(102, frozenset({98})), 10) is None


def test_an_event_that_came_late_is_found_after_those_that_overtook_it() -> None:
    ring = ring_of(
        envelope(101),
        envelope(103, Cursor(103, frozenset({102}))),
        envelope(104, Cursor(104, frozenset({102}))),
        envelope(102, Cursor(104)),
    )
    assert ids(ring.after(Cursor(104, frozenset({102})), 10)) == [102]
    assert ids(ring.after(Cursor(103, frozenset({102})), 10)) == [104, 102]
    assert ids(ring.after(Cursor(104), 10)) == []


def test_the_oldest_are_dropped_when_there_are_too_many() -> None:
    ring = ring_of(*(envelope(id) for id in range(101, 112)), most=10)
    assert ring.after(START, 10) is None
    assert ids(ring.after(Cursor(108), 10)) == [109, 110, 111]


def test_the_oldest_are_dropped_when_they_are_too_large() -> None:
    ring = ring_of(*(envelope(id, text="x" * 3000) for id in range(101, 105)))
    assert ring.after(Cursor(101), 10) is None
    assert ids(ring.after(Cursor(103), 10)) == [104]


def test_an_event_larger_than_all_of_it_is_not_kept() -> None:
    ring = ring_of(envelope(101), envelope(102, text="x" * 20_000))
    assert ring.after(Cursor(101), 10) is None
    assert ids(ring.after(Cursor(102), 10)) == []
    ring.append(envelope(103))
    assert ids(ring.after(Cursor(102), 10)) == [103]
