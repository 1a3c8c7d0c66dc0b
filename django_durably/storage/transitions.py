"""Each change of a run's state, written once."""

from collections.abc import Sequence
from json import dumps
from typing import Any
from uuid import UUID

from django_durably import clock
from django_durably.events import EventDraft, EventType
from django_durably.exceptions import ConflictError, NotFoundError
from django_durably.models import Run, RunStatus
from django_durably.storage import checkpoints, database, events, keys
from django_durably.storage.changes import Change, Lease, Settlement, news

# One row's news: progress, the next step's index, how many checkpoints, and whether there are any
# (a checkpoint ends a series of crashes).
_ADVANCE = (
    "UPDATE durably_run SET progress = COALESCE(%s, progress), "
    "current_step_index = COALESCE(%s, current_step_index), "
    "completed_step_count = completed_step_count + %s, "
    "crashes = CASE WHEN %s > 0 THEN 0 ELSE crashes END, updated_at = %s WHERE id = %s"
)
_SETTLE = (
    "UPDATE durably_run SET status = %s, output = %s, error = %s, error_traceback = %s, "
    "completed_at = %s, updated_at = %s, lease_owner = NULL, lease_expires_at = NULL "
    "WHERE id = %s"
)


def advance(changes: Sequence[Change]) -> None:
    """Write progress and step counts, one update per run however many changes it has."""
    by_run: dict[Lease, list[Change]] = {}
    for change in changes:
        if change.step is not None or change.progress is not None:
            by_run.setdefault(change.lease, []).append(change)
    now = database.adapt_time(clock.now())
    rows = [
        (progress, index, done, done, now, database.adapt_id(lease.run_id))
        for lease, its in by_run.items()
        for progress, index, done in [news(its)]
        if done or progress is not None
    ]
    database.execute_many(_ADVANCE, rows)


def settle(changes: Sequence[Change]) -> None:
    """Complete, fail or hand back the runs of these changes."""
    settled = [(c.lease, c.settlement) for c in changes if c.settlement is not None]
    if not settled:
        return
    now = database.adapt_time(clock.now())
    database.execute_many(_SETTLE, [_settled(lease, how, now) for lease, how in settled])


def _settled(lease: Lease, how: Settlement, now: Any) -> tuple[Any, ...]:
    ended = now if how.is_terminal else None
    id_ = database.adapt_id(lease.run_id)
    return (how.status, how.output, how.error, how.traceback, ended, now, id_)


def free_keys(changes: Sequence[Change]) -> bool:
    """After these settlements: let the runs start that waited for the keys; True when any did.

    A statement of its own, begun when the rows of the settled runs are locked: so it sees what a
    claim marked as blocked before.
    """
    ended = [c for c in changes if c.settlement is not None]
    freed = keys.unblock([c.lease.key for c in ended if c.lease.key is not None])
    return freed > 0 or any(c.settlement and not c.settlement.is_terminal for c in ended)


def forget_steps(changes: Sequence[Change]) -> None:
    """Drop the steps of the runs that these changes end, where the project does not keep them."""
    ended = [c for c in changes if c.settlement is not None and c.settlement.is_terminal]
    checkpoints.forget(
        [c.lease.run_id for c in ended if c.settlement and not c.settlement.keep_steps]
    )


@database.retrying
def cancel(run_id: UUID) -> tuple[Run, EventDraft, list[int]]:
    """Cancel a pending or leased run. Raises NotFoundError, or ConflictError when it ended."""
    with database.atomic():
        run = _locked(run_id)
        if run.is_terminal:
            raise ConflictError(f"Run is already {run.status}")
        now = clock.now()
        run.status = RunStatus.CANCELLED
        run.blocked = False
        run.lease_owner = run.lease_expires_at = None
        run.completed_at = run.updated_at = now
        run.save(
            update_fields=[
                "status",
                "blocked",
                "lease_owner",
                "lease_expires_at",
                "completed_at",
                "updated_at",
            ]
        )
        draft = _event_of(run, EventType.RUN_CANCEL)
        ids = events.record([draft])
        if run.concurrency_key is not None:
            keys.unblock([run.concurrency_key])
    return run, draft, ids


@database.retrying
def delete(run_id: UUID) -> tuple[tuple[int, dict[str, int]], EventDraft, list[int]]:
    """Delete a terminal run with all that is its own, but for its events.

    Raises NotFoundError, or ConflictError when it is active.
    """
    with database.atomic():
        run = _locked(run_id)
        if run.is_active:
            raise ConflictError(f"Run is still {run.status}")
        draft = _event_of(run, EventType.RUN_DELETE)
        ids = events.record([draft])
        deleted = Run.objects.using(database.connection().alias).filter(pk=run_id).delete()
    return deleted, draft, ids


def _locked(run_id: UUID) -> Run:
    runs = Run.objects.using(database.connection().alias).select_for_update()
    try:
        return runs.get(pk=run_id)
    except Run.DoesNotExist:
        raise NotFoundError("Run not found") from None


def _event_of(run: Run, type_: EventType) -> EventDraft:
    return EventDraft(type_, run.pk, run.job_name, dumps(run.labels))
