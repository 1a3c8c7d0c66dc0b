"""Merging hints: the first goes at once, the following ones together, the last always."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

INTERVAL: Final = 0.01
"""Seconds between two sends of one topic by one process."""


class Outbox:
    """Topics that wait to be sent. Threads may share it.

    Whoever `hold`s a topic first must see to it that somebody takes it when it is due; whoever
    holds it again meanwhile need do nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._waiting: set[str] = set()
        self._sent_at: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def hold(self, topics: frozenset[str]) -> bool:
        """Adds topics. True if one of them was not waiting already."""
        with self._lock:
            is_new = not topics <= self._waiting
            self._waiting |= topics
            return is_new

    def due_in(self) -> float | None:
        """Seconds until the first waiting topic may be sent, 0 for now, None if none waits."""
        with self._lock:
            if not self._waiting:
                return None
            return max(0.0, min(map(self._due_at, self._waiting)) - self._clock())

    def take_due(self) -> frozenset[str]:
        """Takes the topics that may be sent now, to be sent by the caller."""
        with self._lock:
            now = self._clock()
            return self._take({topic for topic in self._waiting if self._due_at(topic) <= now})

    def take(self) -> frozenset[str]:
        """Takes all topics, to be sent by the caller: one message costs what two do."""
        with self._lock:
            return self._take(self._waiting)

    def _due_at(self, topic: str) -> float:
        return self._sent_at.get(topic, float("-inf")) + INTERVAL

    def _take(self, topics: set[str]) -> frozenset[str]:
        taken = frozenset(topics)
        self._waiting -= taken
        self._sent_at.update(dict.fromkeys(taken, self._clock()))
        return taken
