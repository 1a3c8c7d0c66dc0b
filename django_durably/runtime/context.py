"""What a ``def`` body is given: ``step``."""

import time
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar
from uuid import UUID

from django_durably.exceptions import (
    CancelledError,
    DurablyError,
    LeaseLostError,
    RunInterrupted,
    ValidationError,
)
from django_durably.runtime.checkpointing import Begun, Replayed, Steps, current_step
from django_durably.runtime.interruption import LEASE_LOST, SHUTDOWN, Signal
from django_durably.storage import database
from django_durably.storage.changes import Change, Claimed

_ABORTS = (CancelledError, LeaseLostError)

P = ParamSpec("P")
T = TypeVar("T")


class Journal(Protocol):
    @property
    def has_own_connection(self) -> bool: ...
    def submit(self, change: Change) -> None: ...
    def slow_down(self) -> None: ...
    def store(self, change: Change) -> None: ...
    async def astore(self, change: Change) -> None: ...


class Log:
    """``step.log``: lines that belong to the run and are shown with it."""

    def __init__(self, write: Callable[[str, str, Any], None]) -> None:
        self._write = write

    def info(self, message: str, data: Any = None) -> None:
        self._write("info", message, data)

    def warn(self, message: str, data: Any = None) -> None:
        self._write("warn", message, data)

    def error(self, message: str, data: Any = None) -> None:
        self._write("error", message, data)


class BaseContext:
    """What the contexts of sync and async bodies share."""

    def __init__(self, run: Claimed, journal: Journal) -> None:
        self.run_id: UUID = run.lease.run_id
        self.job_name = run.job_name
        self.labels = dict(run.labels)
        self.attempt = run.lease.generation
        self.log = Log(self._write_log)
        self.interruption: RunInterrupted | None = None
        # Monotonic time after which the lease may be another worker's; moved on by the heartbeat.
        self.lease_deadline = float("inf")
        self.steps = Steps(run)
        self._signal = Signal()
        self._journal = journal

    def progress(
        self, current: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Say how far the run is; shown live, and kept with the run.

        ``current`` and ``total`` are numbers of any unit. Raises ValidationError for others.
        """
        for name, value in (("current", current), ("total", total)):
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float)
            ):
                raise ValidationError(f"progress: {name} must be a number, not {value!r}")
        self._report(self.steps.progress(current, total, message))

    def is_aborted(self) -> bool:
        """True when the run was cancelled or its lease lost: the body should end."""
        return self._signal.aborted or isinstance(self.interruption, _ABORTS)

    def raise_if_aborted(self) -> None:
        """Raise CancelledError or LeaseLostError when the run was cancelled or its lease lost."""
        if self.interruption is not None:
            raise self.interruption
        if self._signal.aborted:
            self._interrupt(self._signal.error())

    def interrupt(self, reason: str) -> None:
        """Tell the body that it should stop; called from other threads."""
        self._signal.raise_(reason)

    def on_interrupt(self, listener: Callable[[], None]) -> None:
        self._signal.notify(listener)

    def signal_error(self) -> RunInterrupted | None:
        """The exception for a body that was aborted outside of any step."""
        return self._signal.error() if self._signal.aborted else None

    def _write_log(self, level: str, message: str, data: Any) -> None:
        self._report(self.steps.log(level, message, data))

    def _report(self, change: Change) -> None:
        self._check()
        self._journal.submit(change)

    def _check(self) -> None:
        """Raise what ended this execution already, or ends it now."""
        if time.monotonic() > self.lease_deadline:
            self._signal.raise_(LEASE_LOST)
        self.raise_if_aborted()

    def _begin(self, name: str, function: Callable[..., Any]) -> Replayed | Begun:
        """A step boundary: the place where a run is interrupted."""
        self._check()
        if self._signal.reason == SHUTDOWN:
            self._interrupt(self._signal.error())
        begun = self.steps.begin(name, function)
        if isinstance(begun, Begun):
            self._journal.submit(self.steps.announcement(begun))
        return begun

    def _interrupt(self, error: RunInterrupted | None) -> None:
        if error is not None:
            self.interruption = error
            raise error

    def end(self) -> None:
        """The body has ended: what it started and left behind begins no further step."""
        if self.interruption is None:
            self.interruption = LeaseLostError("The run has ended")

    def _note_if_cancelled(self, begun: Begun, error: RunInterrupted) -> None:
        self.interruption = error
        if isinstance(error, CancelledError):
            self._journal.submit(self.steps.cancellation(begun))


class StepContext(BaseContext):
    """The context of a ``def`` body: its calls wait."""

    @property
    def signal(self) -> Signal:
        """Tells a long step that it should stop, and why."""
        return self._signal

    def run(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Execute ``function`` once for this run, and return its result.

        When the run goes on after a crash, the stored result is returned and the function is not
        called again. Names are unique within a run. Raises what the function raises, and
        ValidationError when JSON cannot hold the result.
        """
        self._refuse_open_transaction(name)
        begun = self._begin(name, function)
        if isinstance(begun, Replayed):
            return begun.value  # type: ignore[no-any-return]
        token = current_step.set(name)
        try:
            value = function(*args, **kwargs)
            change, result = self.steps.completion(begun, function, value)
            self._journal.store(change)
        except RunInterrupted as error:
            self._note_if_cancelled(begun, error)
            raise
        except Exception as error:
            self._store_failure(begun, error)
            raise
        finally:
            current_step.reset(token)
        self.steps.succeeded(begun, result)
        return result  # type: ignore[no-any-return]

    def _refuse_open_transaction(self, name: str) -> None:
        """The checkpoint is committed on another connection: it would wait for what this one has
        locked, which waits for it, and it would outlive a rollback of the step's own writes."""
        if self._journal.has_own_connection and database.connection().in_atomic_block:
            raise DurablyError(
                f"Step {name!r} was called inside transaction.atomic(): "
                "open the transaction inside the step's function"
            )

    def _store_failure(self, begun: Begun, error: Exception) -> None:
        try:
            self._journal.store(self.steps.failure(begun, error))
        except RunInterrupted as interruption:
            self._note_if_cancelled(begun, interruption)
            raise

    def _report(self, change: Change) -> None:
        super()._report(change)
        self._journal.slow_down()
