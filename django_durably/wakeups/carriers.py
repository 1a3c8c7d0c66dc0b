"""The thread that carries the hints of one process: started when needed, stopped after use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from threading import Lock, Thread, current_thread
from typing import Final, Protocol

from django_durably.wakeups.coalescing import Outbox
from django_durably.wakeups.protocol import TOPICS, Callback, Listener, Wakeups
from django_durably.wakeups.subscribers import Subscribers

STOP_TIMEOUT: Final = 2.0
"""Seconds that a stop waits; a thread in a call that blocks longer ends later, by itself."""


class Carrier(Protocol):
    """A started thread that delivers to the subscribers and sends what is in the outbox."""

    def wake(self) -> None:
        """There is a new subscriber, or a topic in the outbox."""

    def stop(self) -> None:
        """Sends what is in the outbox if it can, and ends the thread."""


class CarriedWakeups(Wakeups):
    """Wake-ups that one carrier per process serves, however many listen."""

    def __init__(self) -> None:
        self._outbox = Outbox()
        self._subscribers = Subscribers(changed=self._subscribers_changed)
        self._lock = Lock()
        self._carrier: Carrier | None = None

    @abstractmethod
    def _start_carrier(self) -> Carrier: ...

    def listen(self, callback: Callback, topics: Iterable[str] = TOPICS) -> Listener:
        """Calls back in the carrier's thread, which ends with the last listener."""
        return self._subscribers.add(callback, topics)

    def close(self) -> None:
        """Sends what waits, and stops the carrier."""
        self._subscribers.clear()

    def _subscribers_changed(self) -> None:
        if self._subscribers:
            self._wake_carrier()
        elif dismissed := self._dismiss_carrier():
            dismissed.stop()

    def _wake_carrier(self) -> None:
        # In the lock: a carrier that is dismissed just now has been woken before it was
        # stopped, and so sends what it was woken for.
        with self._lock:
            if self._carrier is None:
                self._carrier = self._start_carrier()
            self._carrier.wake()

    def _dismiss_carrier(self) -> Carrier | None:
        with self._lock:
            if self._subscribers:  # one came meanwhile
                return None
            dismissed, self._carrier = self._carrier, None
            return dismissed


def join(thread: Thread) -> None:
    """Waits for the thread to end, unless it is the calling one (a callback that closes)."""
    if thread is not current_thread():
        thread.join(STOP_TIMEOUT)
