"""How a body is told that it should stop: cancelled, lease lost, or the worker shuts down."""

import threading
from collections.abc import Callable

from django_durably.exceptions import CancelledError, HandedBack, LeaseLostError, RunInterrupted

CANCELLED = "cancelled"
LEASE_LOST = "lease-lost"
SHUTDOWN = "shutdown"

_ERRORS: dict[str, Callable[[], RunInterrupted]] = {
    CANCELLED: lambda: CancelledError("The run was cancelled"),
    LEASE_LOST: lambda: LeaseLostError("The lease of the run was lost"),
    SHUTDOWN: lambda: HandedBack("The worker shuts down"),
}


class Signal:
    """What a running step can look at: ``step.signal``.

    ``reason`` is None, ``"cancelled"``, ``"lease-lost"`` or ``"shutdown"``. On shutdown
    ``aborted`` stays False: the step may finish, and the run goes on elsewhere after it.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._raised = threading.Event()
        self._listeners: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    @property
    def aborted(self) -> bool:
        return self.reason in (CANCELLED, LEASE_LOST)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until there is a ``reason``, at most so long; True when there is one."""
        return self._raised.wait(seconds)

    def raise_(self, reason: str) -> None:
        """Set the reason and tell the listeners. An abort replaces a shutdown; the first stays."""
        with self._lock:
            if self.aborted or (self.reason is not None and reason == SHUTDOWN):
                return
            self.reason = reason
            listeners = list(self._listeners)
        self._raised.set()
        for listener in listeners:
            listener()

    def notify(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call this whenever the reason is set, at once when it is; returns what undoes it."""
        with self._lock:
            self._listeners.append(listener)
            already = self.reason is not None
        if already:
            listener()
        return lambda: self._listeners.remove(listener)

    def error(self) -> RunInterrupted | None:
        """The exception that the reason asks for at a step boundary."""
        return _ERRORS[self.reason]() if self.reason is not None else None
