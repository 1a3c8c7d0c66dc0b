"""Progress, at most once per run and interval: the first at once, then the latest."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


class Throttle(Generic[T]):
    """Holds progress back until its run's window has ended. One thread uses it."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``interval`` is in seconds; 0 lets everything pass."""
        self._interval = interval
        self._clock = clock
        # When each run's window ends. All are of one length, so they end as they were opened.
        self._windows: dict[UUID, float] = {}
        self._held: dict[UUID, T] = {}

    @property
    def held(self) -> dict[UUID, T]:
        """What is held back at the moment, by run."""
        return self._held

    def offer(self, run_id: UUID, progress: T) -> bool:
        """True when this may be sent now; else it is held, in the place of an earlier one."""
        now = self._clock()
        if run_id in self._held or now < self._windows.get(run_id, now):
            self._held[run_id] = progress
            return False
        self._open(run_id, now)
        return True

    def release(self, run_id: UUID) -> T | None:
        """What is held of this run, to be sent now: something follows that must come after it."""
        self._windows.pop(run_id, None)
        return self._held.pop(run_id, None)

    def due(self) -> list[T]:
        """What was held for long enough, to be sent now."""
        now = self._clock()
        due = {}
        for run_id in self._ended(now):
            held = self.release(run_id)
            if held is not None:
                due[run_id] = held
        for run_id in due:
            self._open(run_id, now)
        return list(due.values())

    def due_in(self) -> float | None:
        """Seconds until something that is held is due; None while nothing is held."""
        if not self._held:
            return None
        return max(0.0, min(map(self._windows.__getitem__, self._held)) - self._clock())

    def _ended(self, now: float) -> list[UUID]:
        ended = []
        for run_id, ends_at in self._windows.items():
            if now < ends_at:
                break
            ended.append(run_id)
        return ended

    def _open(self, run_id: UUID, now: float) -> None:
        if self._interval > 0:
            self._windows.pop(run_id, None)
            self._windows[run_id] = now + self._interval
