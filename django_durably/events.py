"""The events of a run, as they are recorded, sent as signals and streamed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class EventType(StrEnum):
    """The types of the wire contract; the value is the name on the wire."""

    RUN_TRIGGER = "run:trigger"
    RUN_COALESCED = "run:coalesced"
    RUN_LEASED = "run:leased"
    RUN_LEASE_RENEWED = "run:lease-renewed"
    RUN_PROGRESS = "run:progress"
    RUN_COMPLETE = "run:complete"
    RUN_FAIL = "run:fail"
    RUN_CANCEL = "run:cancel"
    RUN_DELETE = "run:delete"
    STEP_START = "step:start"
    STEP_COMPLETE = "step:complete"
    STEP_FAIL = "step:fail"
    STEP_CANCEL = "step:cancel"
    LOG_WRITE = "log:write"
    WORKER_ERROR = "worker:error"


DOMAIN_EVENTS = frozenset(
    {
        EventType.RUN_TRIGGER,
        EventType.RUN_COALESCED,
        EventType.RUN_COMPLETE,
        EventType.RUN_FAIL,
        EventType.RUN_CANCEL,
        EventType.RUN_DELETE,
    }
)

TERMINAL_EVENTS = frozenset(
    {EventType.RUN_COMPLETE, EventType.RUN_FAIL, EventType.RUN_CANCEL, EventType.RUN_DELETE}
)


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about a run (or, for ``worker:error``, about a worker).

    ``payload`` holds the fields that the wire contract names beside ``type``, ``runId``,
    ``jobName`` and ``labels``. ``sequence`` is the id of the recorded event, or a counter of the
    process for events that are not recorded.
    """

    type: EventType
    run_id: UUID | None
    job_name: str
    labels: Mapping[str, str]
    payload: Mapping[str, Any]
    timestamp: datetime
    sequence: int


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event about to be recorded.

    ``encoded`` holds payload fields that are JSON text already, so that a value that is also
    stored elsewhere is encoded once.
    """

    type: EventType
    run_id: UUID
    job_name: str
    labels: str  # JSON text
    fields: Mapping[str, Any] = field(default_factory=dict)
    encoded: Mapping[str, str] = field(default_factory=dict)


def is_domain_event(event: Event) -> bool:
    """True for a fact of a run's life (triggered, completed, ...), False for operational detail."""
    return event.type in DOMAIN_EVENTS
