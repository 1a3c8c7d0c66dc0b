"""What every way of waking offers: `publish` a hint, `listen` for hints.

A hint says "look again", never what is there to see. One that is lost costs at most one poll
interval, so no way of waking promises more than its best effort.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, Final, Protocol

RUNS: Final = "runs"
"""There is something to claim."""
EVENTS: Final = "events"
"""There is something to stream."""
CANCELLATIONS: Final = "cancellations"
"""A leased run was cancelled."""
TOPICS: Final = frozenset({RUNS, EVENTS, CANCELLATIONS})

Callback = Callable[[str], None]
"""Called with a topic, in a thread of the wake-ups: it must be quick."""

logger = logging.getLogger("django_durably.wakeups")


class Listener(Protocol):
    """What `listen` returns: a registration, until it is closed."""

    def close(self) -> None:
        """Ends the calls. May be called more than once, and from the callback itself."""


class Wakeups(ABC):
    """One way of waking the processes of a site."""

    pushes: ClassVar[bool] = True
    """Whether hints arrive at all; if not, the listener has to poll."""

    def publish(self, *topics: str) -> None:
        """Hints at each topic, now: call it after the commit. Never raises: failures are logged.

        Cheap enough for every commit: hints that follow each other within 10 ms are merged, and
        the last of them is always sent.
        """
        try:
            self._publish(_known(topics))
        except Exception:
            logger.exception("cannot publish wake-ups for %s", ", ".join(topics))

    @abstractmethod
    def _publish(self, topics: frozenset[str]) -> None: ...

    @abstractmethod
    def listen(self, callback: Callback, topics: Iterable[str] = TOPICS) -> Listener:
        """Calls `callback(topic)` for each hint at one of `topics`; hints may be merged.

        The first call for each topic comes when the listening is in force, and again whenever a
        lost connection is restored, since hints may have been missed until then. An exception in
        a callback is logged and hurts no other listener.
        """

    @abstractmethod
    def close(self) -> None:
        """Sends what waits to be sent and stops all threads, within a second or so."""


def _known(topics: Iterable[str]) -> frozenset[str]:
    chosen = frozenset(topics)
    if unknown := chosen - TOPICS:
        raise ValueError(f"unknown wake-up topics: {', '.join(sorted(unknown))}")
    return chosen
