"""The present state of a run, told as events, and where in the log that state stands."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery

from django_durably import models
from django_durably.events import EventType
from django_durably.models import Run, RunStatus, Step
from django_durably.storage import database
from django_durably.storage.events import RecordedEvent, recorded_events

_ENDINGS = {
    RunStatus.COMPLETED: EventType.RUN_COMPLETE,
    RunStatus.FAILED: EventType.RUN_FAIL,
    RunStatus.CANCELLED: EventType.RUN_CANCEL,
}


@dataclass(frozen=True, slots=True)
class Present:
    """A run as it is, the events that tell of it, and the id of its newest event (0: none left).

    A run's events are recorded in the transaction that changes it, one after the other. So this
    state contains every event up to ``event_id``, and none after it.
    """

    run: Run
    event_id: int
    events: tuple[RecordedEvent, ...]


def of_run(run_id: UUID) -> Present | None:
    """The present state of this run; None when it does not exist."""
    alias = database.connection().alias
    newest = models.Event.objects.using(alias).filter(run_id=OuterRef("pk")).order_by("-pk")
    # One statement, hence one snapshot of the run and of its log.
    runs = Run.objects.using(alias).annotate(event_id=Subquery(newest.values("pk")[:1]))
    run: Any = runs.filter(pk=run_id).first()
    if run is None:
        return None
    event_id: int = run.event_id or 0
    return Present(run, event_id, tuple(_told(run, event_id)))


def _told(run: Run, event_id: int) -> list[RecordedEvent]:
    if run.is_terminal:
        return [_recorded_ending(run) or _ending(run, event_id)]
    if run.status != RunStatus.LEASED:
        return []
    told = [_event(run, event_id, EventType.RUN_LEASED, {"input": run.input})]
    if run.progress is not None:
        told.append(_event(run, event_id, EventType.RUN_PROGRESS, {"progress": run.progress}))
    return told


def _recorded_ending(run: Run) -> RecordedEvent | None:
    events = recorded_events().filter(run_id=run.pk, type=_ENDINGS[RunStatus(run.status)])
    row = events.order_by("-pk").first()
    return RecordedEvent(*row) if row is not None else None


def _ending(run: Run, event_id: int) -> RecordedEvent:
    """The terminal event as it was recorded, as far as the run still tells."""
    type_ = _ENDINGS[RunStatus(run.status)]
    payload: dict[str, Any] = {}
    if type_ is EventType.RUN_COMPLETE:
        payload = {"output": run.output, "duration": _duration(run)}
    elif type_ is EventType.RUN_FAIL:
        payload = {"error": run.error, "failedStepName": _failed_step(run)}
    return _event(run, event_id, type_, payload)


def _duration(run: Run) -> int:
    if run.started_at is None or run.completed_at is None:
        return 0
    return round((run.completed_at - run.started_at).total_seconds() * 1000)


def _failed_step(run: Run) -> str:
    steps = Step.objects.using(database.connection().alias).filter(run_id=run.pk)
    last = steps.filter(status="failed").order_by("-index", "-attempt").first()
    return last.name if last is not None and last.error == run.error else "unknown"


def _event(run: Run, event_id: int, type_: EventType, payload: dict[str, Any]) -> RecordedEvent:
    return RecordedEvent(
        event_id, run.pk, run.job_name, type_.value, payload, run.labels, run.updated_at
    )
