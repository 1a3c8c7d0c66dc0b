"""Runs, steps, log entries and events as the wire shows them: JSON objects with camelCase keys.

The shapes are those of the wire protocol that `@coji/durably` 0.15 speaks. They are exported as
typed dictionaries for code that talks to the API, or passes its answers on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    NotRequired,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
)
from uuid import UUID

# Pydantic takes no other TypedDict before Python 3.12.
from typing_extensions import TypedDict

if TYPE_CHECKING:
    from django_durably import models

TInput = TypeVar("TInput")
TOutput = TypeVar("TOutput")
TInput_co = TypeVar("TInput_co", covariant=True)
TOutput_co = TypeVar("TOutput_co", covariant=True)

Status: TypeAlias = Literal["pending", "leased", "completed", "failed", "cancelled"]

MAX_FIELD_BYTES: Final = 64 * 1024
"""The largest payload field in the stream of many runs; a larger one is left out there."""

_ALWAYS: Final = frozenset({"type", "runId", "jobName", "labels"})


class Progress(TypedDict):
    """How far a run has come. What is not known is absent, never null."""

    current: float
    total: NotRequired[float]
    message: NotRequired[str]


class TypedClientRun(TypedDict, Generic[TInput, TOutput]):
    """A run as clients see it, with the types of its job's JSON. Times are ISO 8601 in UTC."""

    id: str
    jobName: str
    status: Status
    input: TInput
    output: TOutput | None
    error: str | None
    currentStepIndex: int
    completedStepCount: int
    progress: Progress | None
    labels: dict[str, str]
    startedAt: str | None
    completedAt: str | None
    createdAt: str
    isTerminal: bool
    isActive: bool


ClientRun: TypeAlias = TypedClientRun[Any, Any]
"""A run as clients see it, of whatever job."""


class TypedRun(Protocol[TInput_co, TOutput_co]):
    """A `Run` of a job whose types are known, with its internal fields, for server-side code.

    `cast(TypedRun[ImportInput, ImportOutput], run)` says so to a type checker. The types are those
    of the stored JSON.
    """

    @property
    def id(self) -> UUID: ...
    @property
    def job_name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def input(self) -> TInput_co: ...
    @property
    def output(self) -> TOutput_co | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def error_traceback(self) -> str | None: ...
    @property
    def current_step_index(self) -> int: ...
    @property
    def completed_step_count(self) -> int: ...
    @property
    def progress(self) -> Progress | None: ...
    @property
    def labels(self) -> dict[str, str]: ...
    @property
    def idempotency_key(self) -> str | None: ...
    @property
    def concurrency_key(self) -> str | None: ...
    @property
    def lease_owner(self) -> str | None: ...
    @property
    def lease_expires_at(self) -> datetime | None: ...
    @property
    def lease_generation(self) -> int: ...
    @property
    def triggered_by(self) -> str | None: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def updated_at(self) -> datetime: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def completed_at(self) -> datetime | None: ...
    @property
    def is_terminal(self) -> bool: ...
    @property
    def is_active(self) -> bool: ...


class StepRecord(TypedDict):
    """One try of one step."""

    id: str
    runId: str
    name: str
    index: int
    attempt: int
    status: Literal["completed", "failed", "cancelled"]
    output: Any
    error: str | None
    startedAt: str
    completedAt: str | None


class LogEntry(TypedDict):
    """A line that a body wrote with `step.log`."""

    id: str
    runId: str
    stepName: str | None
    level: Literal["info", "warn", "error"]
    message: str
    data: Any
    timestamp: str


class _RunEvent(TypedDict):
    runId: str
    jobName: str
    labels: dict[str, str]
    truncated: NotRequired[bool]


class RunTriggerEvent(_RunEvent):
    type: Literal["run:trigger"]
    input: Any


class RunCoalescedEvent(_RunEvent):
    """A trigger was answered with this waiting run; `labels` are the kept run's."""

    type: Literal["run:coalesced"]
    skippedInput: Any
    skippedLabels: dict[str, str]


class RunLeasedEvent(_RunEvent):
    type: Literal["run:leased"]
    input: Any


class RunProgressEvent(_RunEvent):
    type: Literal["run:progress"]
    progress: Progress


class RunCompleteEvent(_RunEvent):
    """`duration` is in milliseconds."""

    type: Literal["run:complete"]
    output: Any
    duration: float


class RunFailEvent(_RunEvent):
    """`failedStepName` is `unknown` when no step failed."""

    type: Literal["run:fail"]
    error: str
    failedStepName: str


class RunCancelEvent(_RunEvent):
    type: Literal["run:cancel"]


class RunDeleteEvent(_RunEvent):
    type: Literal["run:delete"]


class StepStartEvent(_RunEvent):
    type: Literal["step:start"]
    stepName: str
    stepIndex: int


class StepCompleteEvent(_RunEvent):
    """`duration` is in milliseconds."""

    type: Literal["step:complete"]
    stepName: str
    stepIndex: int
    output: Any
    duration: float


class StepFailEvent(_RunEvent):
    type: Literal["step:fail"]
    stepName: str
    stepIndex: int
    error: str


class StepCancelEvent(_RunEvent):
    type: Literal["step:cancel"]
    stepName: str
    stepIndex: int


class LogWriteEvent(_RunEvent):
    type: Literal["log:write"]
    stepName: str | None
    level: Literal["info", "warn", "error"]
    message: str
    data: Any


ClientEvent: TypeAlias = (
    RunTriggerEvent
    | RunCoalescedEvent
    | RunLeasedEvent
    | RunProgressEvent
    | RunCompleteEvent
    | RunFailEvent
    | RunCancelEvent
    | RunDeleteEvent
    | StepStartEvent
    | StepCompleteEvent
    | StepFailEvent
    | StepCancelEvent
    | LogWriteEvent
)
"""Whatever a stream may send; `type` tells which."""


class Recorded(Protocol):
    """What an event is made of: a row of the event log, or what a signal carries."""

    @property
    def type(self) -> str: ...
    @property
    def run_id(self) -> UUID | None: ...
    @property
    def job_name(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...


def client_run(run: models.Run) -> ClientRun:
    """A run for clients: nothing of leases, keys or tracebacks."""
    return {
        "id": str(run.pk),
        "jobName": run.job_name,
        "status": cast(Status, str(run.status)),
        "input": run.input,
        "output": run.output,
        "error": run.error,
        "currentStepIndex": run.current_step_index,
        "completedStepCount": run.completed_step_count,
        "progress": run.progress,
        "labels": run.labels,
        "startedAt": _time_or_none(run.started_at),
        "completedAt": _time_or_none(run.completed_at),
        "createdAt": wire_time(run.created_at),
        "isTerminal": run.is_terminal,
        "isActive": run.is_active,
    }


def step_record(step: models.Step) -> StepRecord:
    return {
        "id": str(step.pk),
        "runId": str(step.run_id),
        "name": step.name,
        "index": step.index,
        "attempt": step.attempt,
        "status": cast(Any, str(step.status)),
        "output": step.output,
        "error": step.error,
        "startedAt": wire_time(step.started_at),
        "completedAt": _time_or_none(step.completed_at),
    }


def log_entry(entry: models.LogEntry) -> LogEntry:
    return {
        "id": str(entry.pk),
        "runId": str(entry.run_id),
        "stepName": entry.step_name,
        "level": cast(Any, str(entry.level)),
        "message": entry.message,
        "data": entry.data,
        "timestamp": wire_time(entry.timestamp),
    }


def client_event(event: Recorded) -> ClientEvent:
    """An event for clients: neither its time nor its number."""
    message = {
        "type": str(event.type),
        "runId": str(event.run_id),
        "jobName": event.job_name,
        "labels": dict(event.labels),
        **event.payload,
    }
    return cast(ClientEvent, message)


def shortened(event: ClientEvent) -> ClientEvent:
    """The event with null for each payload field whose JSON has over 64 KiB, marked as such."""
    large = [name for name, value in event.items() if name not in _ALWAYS and _is_large(value)]
    if not large:
        return event
    return cast(ClientEvent, {**event, **dict.fromkeys(large), "truncated": True})


def _is_large(value: Any) -> bool:
    return not isinstance(value, int | float) and len(to_bytes(value)) > MAX_FIELD_BYTES


def wire_time(time: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-11-22T17:00:00.123Z`."""
    text = time.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def _time_or_none(time: datetime | None) -> str | None:
    return None if time is None else wire_time(time)


def to_bytes(value: Any) -> bytes:
    """Compact JSON in UTF-8. A lone surrogate (in an error that quotes a request) becomes `?`."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="replace")
