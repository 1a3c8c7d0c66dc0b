"""No hints at all: for a database that has no way to send any, and no Channels layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django_durably.wakeups.protocol import TOPICS, Callback, Listener, Wakeups


class PollingWakeups(Wakeups):
    """Publishes into the void. Its listeners are never called back."""

    pushes: ClassVar[bool] = False

    def _publish(self, topics: frozenset[str]) -> None:
        pass

    def listen(self, callback: Callback, topics: Iterable[str] = TOPICS) -> Listener:
        """Returns a listener that hears nothing."""
        return _SilentListener()

    def close(self) -> None:
        """Does nothing."""


class _SilentListener:
    def close(self) -> None:
        pass
