"""Durable background jobs for Django.

The names below are loaded on first use, so that importing the package never loads models
(a site's ``models.py`` may import ``job``).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_durably.decorators import Job, get_job, job
    from django_durably.events import is_domain_event
    from django_durably.exceptions import (
        CancelledError,
        ConflictError,
        DurablyError,
        HandedBack,
        LeaseLostError,
        NotFoundError,
        RunCancelled,
        RunFailed,
        ValidationError,
        WaitTimeout,
    )
    from django_durably.http.api import DurablyAPI
    from django_durably.models import Run
    from django_durably.projections import (
        ClientEvent,
        ClientRun,
        LogEntry,
        LogWriteEvent,
        Progress,
        RunCancelEvent,
        RunCoalescedEvent,
        RunCompleteEvent,
        RunDeleteEvent,
        RunFailEvent,
        RunLeasedEvent,
        RunProgressEvent,
        RunTriggerEvent,
        StepCancelEvent,
        StepCompleteEvent,
        StepFailEvent,
        StepRecord,
        StepStartEvent,
        TypedClientRun,
        TypedRun,
    )
    from django_durably.runtime.async_context import AsyncStepContext
    from django_durably.runtime.context import StepContext

__version__ = "0.1.0"

_HOME = {
    "Job": "decorators",
    "get_job": "decorators",
    "job": "decorators",
    "is_domain_event": "events",
    "CancelledError": "exceptions",
    "ConflictError": "exceptions",
    "DurablyError": "exceptions",
    "HandedBack": "exceptions",
    "LeaseLostError": "exceptions",
    "NotFoundError": "exceptions",
    "RunCancelled": "exceptions",
    "RunFailed": "exceptions",
    "ValidationError": "exceptions",
    "WaitTimeout": "exceptions",
    "DurablyAPI": "http.api",
    "Run": "models",
    "ClientEvent": "projections",
    "ClientRun": "projections",
    "LogEntry": "projections",
    "LogWriteEvent": "projections",
    "Progress": "projections",
    "RunCancelEvent": "projections",
    "RunCoalescedEvent": "projections",
    "RunCompleteEvent": "projections",
    "RunDeleteEvent": "projections",
    "RunFailEvent": "projections",
    "RunLeasedEvent": "projections",
    "RunProgressEvent": "projections",
    "RunTriggerEvent": "projections",
    "StepCancelEvent": "projections",
    "StepCompleteEvent": "projections",
    "StepFailEvent": "projections",
    "StepRecord": "projections",
    "StepStartEvent": "projections",
    "TypedClientRun": "projections",
    "TypedRun": "projections",
    "AsyncStepContext": "runtime.async_context",
    "StepContext": "runtime.context",
}

__all__ = [
    "AsyncStepContext",
    "CancelledError",
    "ClientEvent",
    "ClientRun",
    "ConflictError",
    "DurablyAPI",
    "DurablyError",
    "HandedBack",
    "Job",
    "LeaseLostError",
    "LogEntry",
    "LogWriteEvent",
    "NotFoundError",
    "Progress",
    "Run",
    "RunCancelEvent",
    "RunCancelled",
    "RunCoalescedEvent",
    "RunCompleteEvent",
    "RunDeleteEvent",
    "RunFailEvent",
    "RunFailed",
    "RunLeasedEvent",
    "RunProgressEvent",
    "RunTriggerEvent",
    "StepCancelEvent",
    "StepCompleteEvent",
    "StepContext",
    "StepFailEvent",
    "StepRecord",
    "StepStartEvent",
    "TypedClientRun",
    "TypedRun",
    "ValidationError",
    "WaitTimeout",
    "get_job",
    "is_domain_event",
    "job",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
