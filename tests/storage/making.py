"""Runs in every state, made the way the package makes them, and changes for the journal."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django_durably import clock, values
from django_durably.events import EventDraft, EventType
from django_durably.models import Event, Run
from django_durably.storage import batches, claims, enqueue
from django_durably.storage.changes import (
    Change,
    Claimed,
    ClaimRequest,
    Lease,
    LogRow,
    NewRun,
    Settlement,
    StepRow,
)


def request(
    job: str = "a", input: Any = None, *, labels: dict[str, str] | None = None, **options: Any
) -> NewRun:
    return NewRun(
        job_name=job,
        input=input,
        input_text=values.encode(input, "input"),
        labels=labels or {},
        labels_text=json.dumps(labels or {}),
        **options,
    )


def enqueued(*requests: NewRun) -> list[Run]:
    return list(enqueue.enqueue(requests).runs)


def pending(job: str = "a", input: Any = None, **options: Any) -> Run:
    return enqueued(request(job, input, **options))[0]


def claim(*jobs: str, limit: int = 10, owner: str = "w1") -> tuple[Claimed, ...]:
    return claims.claim(ClaimRequest(owner, jobs or ("a", "b"), limit)).runs


def claimed_ids(*jobs: str, limit: int = 10, owner: str = "w1") -> list[UUID]:
    return [run.lease.run_id for run in claim(*jobs, limit=limit, owner=owner)]


def leased(job: str = "a", input: Any = None, *, owner: str = "w1", **options: Any) -> Lease:
    return take(pending(job, input, **options), owner)


def take(run: Run, owner: str = "w1") -> Lease:
    claimed = claims.claim_one(run.pk, owner)
    assert claimed is not None
    return claimed.lease


def step(
    lease: Lease,
    name: str = "s",
    index: int = 0,
    *,
    attempt: int = 1,
    status: str = "completed",
    output: Any = None,
    error: str | None = None,
) -> Change:
    now = clock.now()
    text = None if status != "completed" else values.encode(output, "output")
    row = StepRow(name, index, attempt, status, text, error, now - timedelta(seconds=1), now)
    return Change(lease, step=row)


def log(lease: Lease, message: str, data: Any = None, level: str = "info") -> Change:
    return Change(lease, log=LogRow(None, level, message, values.encode(data, "data"), clock.now()))


def progress(lease: Lease, current: int) -> Change:
    return Change(lease, progress=values.encode({"current": current}, "progress"))


def completed(lease: Lease, output: Any = None, *, keep_steps: bool = True) -> Change:
    how = Settlement("completed", values.encode(output, "output"), keep_steps=keep_steps)
    return Change(lease, events=(event(lease, EventType.RUN_COMPLETE),), settlement=how)


def failed(lease: Lease, error: str = "boom", *, keep_steps: bool = True) -> Change:
    how = Settlement("failed", error=error, traceback="Traceback: boom", keep_steps=keep_steps)
    return Change(lease, events=(event(lease, EventType.RUN_FAIL),), settlement=how)


def handed_back(lease: Lease) -> Change:
    return Change(lease, settlement=Settlement("pending"))


def event(lease: Lease, type_: EventType, **fields: Any) -> EventDraft:
    return EventDraft(type_, lease.run_id, "a", "{}", fields)


def settle(*changes: Change) -> None:
    """Commits the changes, which must all be accepted."""
    committed = batches.commit(changes)
    assert (committed.lost, committed.locked_elsewhere) == ({}, set())


def stored(run: Run | Lease | UUID) -> Run:
    """The run as the database has it."""
    id_ = run.run_id if isinstance(run, Lease) else run if isinstance(run, UUID) else run.pk
    return Run.objects.get(pk=id_)


def statuses(*runs: Run | Lease) -> list[str]:
    return [stored(run).status for run in runs]


def expire(*leases: Lease) -> None:
    """Lets the time of these leases run out."""
    ids = [lease.run_id for lease in leases]
    past = clock.now() - timedelta(hours=1)
    assert Run.objects.filter(pk__in=ids).update(lease_expires_at=past) == len(leases)


def end_long_ago(*runs: Run, status: str = "completed", ago: timedelta) -> None:
    ids = [run.pk for run in runs]
    Run.objects.filter(pk__in=ids).update(status=status, completed_at=clock.now() - ago)


def event_types(run: Run | Lease | UUID) -> list[str]:
    id_ = run.run_id if isinstance(run, Lease) else run if isinstance(run, UUID) else run.pk
    return list(Event.objects.filter(run_id=id_).order_by("id").values_list("type", flat=True))


def ids(runs: Sequence[Run]) -> list[UUID]:
    return [run.pk for run in runs]
