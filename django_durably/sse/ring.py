"""The newest events in memory, for listeners that fell behind or come back after a moment."""

from bisect import bisect_left
from typing import Final

from django_durably.sse.envelopes import Envelope
from django_durably.storage.cursors import Cursor

MOST_EVENTS: Final = 10_000
MOST_CHARACTERS: Final = 16 * 1024 * 1024


class Ring:
    """Events in the order in which they were sent. One thread appends, any may read.

    The cursors of the events grow, each covering the one before.
    """

    def __init__(
        self, start: Cursor, events: int = MOST_EVENTS, characters: int = MOST_CHARACTERS
    ) -> None:
        self._limits = (events, characters)
        self._characters = 0
        # Replaced as one: a reader sees both from the same moment.
        self._state: tuple[Cursor, list[Envelope]] = (start, [])

    def append(self, event: Envelope) -> None:
        before, events = self._state
        events.append(event)
        self._characters += event.size
        events_limit, characters_limit = self._limits
        if len(events) > events_limit or self._characters > characters_limit:
            self._drop(before, events)

    def _drop(self, before: Cursor, events: list[Envelope]) -> None:
        """Drop the older half, or more if the younger one is too large by itself."""
        keep = len(events) // 2
        characters = sum(event.size for event in events[-keep:]) if keep else 0
        while keep and characters > self._limits[1] // 2:
            characters -= events[-keep].size
            keep -= 1
        first = len(events) - keep
        if first:
            before = events[first - 1].cursor
        self._characters = characters
        self._state = (before, events[first:])

    def after(self, cursor: Cursor, limit: int) -> list[Envelope] | None:
        """The first events that the cursor has not seen; None when some of them are gone."""
        before, events = self._state
        if not cursor.covers(before):
            return None
        first = bisect_left(events, True, key=lambda event: not cursor.covers(event.cursor))
        return events[first : first + limit]
