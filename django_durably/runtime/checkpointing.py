"""The rules of a step, the same for sync and async bodies; only the waiting differs.

A step is replayed when it has a checkpoint, begun otherwise, and ends as completed or failed.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from json import loads
from typing import Any

from django_durably import clock, values
from django_durably.events import EventDraft, EventType
from django_durably.exceptions import ValidationError
from django_durably.fields import STEP_NAME_LENGTH
from django_durably.jobs import step_results
from django_durably.storage.changes import Change, Claimed, LogRow, StepRow

logger = logging.getLogger("django_durably")

current_step: ContextVar[str | None] = ContextVar("durably_current_step", default=None)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A step that need not execute: its result is known."""

    value: Any


@dataclass(frozen=True, slots=True)
class Begun:
    """A try that is about to execute."""

    name: str
    index: int
    attempt: int
    started_at: datetime
    clock: float  # monotonic seconds

    @property
    def duration(self) -> int:
        """Milliseconds since the try began."""
        return round((time.monotonic() - self.clock) * 1000)


class Steps:
    """The steps of one execution of a run."""

    def __init__(self, run: Claimed) -> None:
        self._run = run
        self._checkpoints = {step.name: step for step in run.steps if step.is_checkpoint}
        self._tries = Counter(step.name for step in run.steps)
        self._results: dict[str, Any] = {}
        self._next_index = 0
        self.failed: tuple[str, BaseException] | None = None

    def begin(self, name: str, function: Callable[..., Any]) -> Replayed | Begun:
        """What to do for this step. Raises ValidationError for a name that cannot be stored."""
        _check_name(name)
        if name in self._results:
            self._warn_of_repetition(name)
            return Replayed(self._results[name])
        index = self._next_index
        self._next_index += 1
        if name in self._checkpoints:
            return Replayed(self._remember(name, self._load(name, function)))
        self._tries[name] += 1
        return Begun(name, index, self._tries[name], clock.now(), time.monotonic())

    def _load(self, name: str, function: Callable[..., Any]) -> Any:
        text = self._checkpoints[name].output
        return step_results.load(function, loads(text) if text is not None else None)

    def _remember(self, name: str, value: Any) -> Any:
        self._results[name] = value
        return value

    def _warn_of_repetition(self, name: str) -> None:
        logger.warning(
            "Step %r was called again in one execution; the first result is returned",
            name,
            extra={"run_id": str(self._run.lease.run_id), "job": self._run.job_name},
        )

    def announcement(self, begun: Begun) -> Change:
        fields = {"stepName": begun.name, "stepIndex": begun.index}
        return self._change(EventType.STEP_START, fields)

    def completion(
        self, begun: Begun, function: Callable[..., Any], value: Any
    ) -> tuple[Change, Any]:
        """The checkpoint of this result, and the result as a replay would return it."""
        text, result = step_results.dump(begun.name, function, value)
        fields = {
            "stepName": begun.name,
            "stepIndex": begun.index,
            "duration": begun.duration,
        }
        change = self._change(EventType.STEP_COMPLETE, fields, {"output": text})
        change.step = _row(begun, "completed", output=text)
        return change, result

    def succeeded(self, begun: Begun, result: Any) -> None:
        """To be called once the checkpoint is committed."""
        self._remember(begun.name, result)

    def failure(self, begun: Begun, error: BaseException) -> Change:
        self.failed = (begun.name, error)
        message = message_of(error)
        fields = {"stepName": begun.name, "stepIndex": begun.index, "error": message}
        change = self._change(EventType.STEP_FAIL, fields)
        change.step = _row(begun, "failed", error=message)
        return change

    def cancellation(self, begun: Begun) -> Change:
        """A note in the history of a run that was cancelled while this step executed."""
        fields = {"stepName": begun.name, "stepIndex": begun.index}
        change = self._change(EventType.STEP_CANCEL, fields)
        change.step = _row(begun, "cancelled")
        change.of_cancelled = True
        return change

    def log(self, level: str, message: str, data: Any) -> Change:
        """A log entry. What JSON cannot hold is logged as its ``repr``: a log fails no run."""
        step_name = current_step.get()
        message, text = storable(str(message)), _log_data(data)
        fields = {"stepName": step_name, "level": level, "message": message}
        change = self._change(EventType.LOG_WRITE, fields, {"data": text})
        change.log = LogRow(step_name, level, message, text, clock.now())
        return change

    def progress(self, current: float, total: float | None, message: str | None) -> Change:
        progress: dict[str, Any] = {"current": current}
        if total is not None:
            progress["total"] = total
        if message is not None:
            progress["message"] = message
        text = values.encode(progress, "progress")
        change = self._change(EventType.RUN_PROGRESS, {}, {"progress": text})
        change.progress = text
        return change

    def _change(
        self,
        type_: EventType,
        fields: dict[str, Any],
        encoded: dict[str, str] | None = None,
    ) -> Change:
        run = self._run
        draft = EventDraft(
            type_, run.lease.run_id, run.job_name, run.labels_text, fields, encoded or {}
        )
        return Change(run.lease, (draft,))


def message_of(error: BaseException) -> str:
    """The error in the words of whoever raised it, fit to be stored on every database."""
    return storable(str(error))


def storable(text: str) -> str:
    """The text without the characters that some database or encoding refuses."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _log_data(data: Any) -> str:
    try:
        return values.encode(data, "data")
    except ValidationError:
        return values.encode(storable(repr(data)), "data")


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise ValidationError(f"A step's name must be a string, not {type(name).__name__}")
    if not 1 <= len(name) <= STEP_NAME_LENGTH:
        raise ValidationError(
            f"A step's name must have 1 to {STEP_NAME_LENGTH} characters, not {len(name)}: "
            f"{name[:40]!r}"
        )
    values.encode(name, "The step's name")


def _row(begun: Begun, status: str, output: str | None = None, error: str | None = None) -> StepRow:
    return StepRow(
        begun.name,
        begun.index,
        begun.attempt,
        status,
        output,
        error,
        begun.started_at,
        clock.now(),
    )
