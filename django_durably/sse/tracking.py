"""What a reader of the log has seen, and for how long it waits for ids that are missing.

An id is missing while its transaction is open, and for ever when that was rolled back.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django_durably.storage.cursors import Cursor
from django_durably.storage.events import MOST_AWAITED, Snapshot

PATIENCE: Final = 60.0
"""Seconds that a missing id is awaited where the database does not tell who is still at work."""
LEAST_PATIENCE: Final = 5.0
"""Seconds in any case: an id is drawn a moment before its transaction shows in a snapshot."""


@dataclass(slots=True)
class _Gap:
    noticed_at: float
    next_transaction: int | None = None
    """The first transaction that cannot have drawn the id; not yet known when None."""

    def is_over(self, now: float, snapshot: Snapshot | None) -> bool:
        age = now - self.noticed_at
        if snapshot is None:
            return age >= PATIENCE
        if self.next_transaction is None:
            self.next_transaction = snapshot.next
        return age >= LEAST_PATIENCE and snapshot.first_open >= self.next_transaction


class Tracker:
    """Which events were seen. One thread uses it."""

    def __init__(
        self,
        start: Cursor,
        in_order: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``in_order``: ids become visible in their order, so that a missing one never comes."""
        self._clock = clock
        self._in_order = in_order
        self._highest = start.highest
        self._gaps = {id: _Gap(clock()) for id in sorted(start.awaited)}
        self._awaited = start.awaited

    @property
    def cursor(self) -> Cursor:
        return Cursor(self._highest, self._awaited)

    def see(self, id: int) -> None:
        """Note an event; those between the highest one so far and this are awaited from now on."""
        if id <= self._highest:
            if self._gaps.pop(id, None) is not None:
                self._awaited -= {id}
            return
        missing = () if self._in_order else self._missing(id)
        self._highest = id
        if missing:
            now = self._clock()
            self._gaps.update((each, _Gap(now)) for each in missing)
            self._forget_oldest()

    def _missing(self, id: int) -> range:
        return range(max(self._highest + 1, id - MOST_AWAITED), id)

    def _forget_oldest(self) -> None:
        for id in list(self._gaps)[: len(self._gaps) - MOST_AWAITED]:
            del self._gaps[id]
        self._awaited = frozenset(self._gaps)

    def hopeless(self, snapshot: Snapshot | None) -> list[int]:
        """The missing ids that cannot become visible after this moment.

        ``snapshot`` is of now. They may have become visible just before it: read once more, then
        ``give_up``.
        """
        now = self._clock()
        return [id for id, gap in self._gaps.items() if gap.is_over(now, snapshot)]

    def give_up(self, ids: list[int]) -> None:
        """Wait no longer for those of these that are still missing."""
        missing = [id for id in ids if id in self._gaps]
        for id in missing:
            del self._gaps[id]
        if missing:
            self._awaited = frozenset(self._gaps)
