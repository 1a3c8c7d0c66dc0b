"""What can go wrong, in two families.

`DurablyError` and its children are ordinary errors for the caller of the API. The children of
`RunInterrupted` end the execution of a body; they derive from `BaseException`, so that an
`except Exception` around a step cannot eat them.
"""

from __future__ import annotations

from typing import Any


class DurablyError(Exception):
    """The parent of every error that this package raises for its callers.

    `message` says what went wrong, in one sentence fit to be shown to the caller.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class NotFoundError(DurablyError):
    """No such job or run. Over HTTP: 404."""


class ValidationError(DurablyError):
    """A value was refused: an input, an output, a label, a key or a step's result. Over HTTP: 400.

    The message names the value. `field` is that name alone, where there is just one.
    """

    def __init__(self, message: str = "", *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ConflictError(DurablyError):
    """The run's state, or another run with its key, forbids the request. Over HTTP: 409.

    Raised by a trigger whose concurrency key is held by a pending run, by `cancel()` of a
    terminal run, and by `retrigger()` or `delete()` of an active one.
    """


class _RunError(DurablyError):
    """An error about one run, which it carries as `run` (a `Run`, as it was last read)."""

    def __init__(self, message: str = "", *, run: Any = None) -> None:
        super().__init__(message)
        self.run = run


class RunFailed(_RunError):
    """The run that was waited for ended in `failed`; the message is the run's own error.

    Raised by `wait()`, `await_result()` and `trigger_and_wait()`; never over HTTP.
    """


class RunCancelled(_RunError):
    """The run that was waited for was cancelled. Raised where `RunFailed` is."""


class WaitTimeout(_RunError):
    """The run was still active when the time to wait was over; it goes on all the same."""


class RunInterrupted(BaseException):
    """The parent of what ends a body from outside. Not to be caught, except to clean up."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class CancelledError(RunInterrupted):
    """The run was cancelled while its body executed; the next call of the context raises this."""


class LeaseLostError(RunInterrupted):
    """This worker no longer holds the run's lease: nothing that the body still does is stored."""


class HandedBack(RunInterrupted):
    """The worker shuts down and gave the run back as pending, to go on from its last checkpoint."""
