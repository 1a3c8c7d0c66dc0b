"""Each change of a run's state, written once."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django_durably import clock
from django_durably.events import EventDraft, EventType
from django_durably.exceptions import ConflictError, NotFoundError
from django_durably.models import Run, RunStatus
from django_durably.storage import checkpoints, database, events, keys
from django_durably.storage.changes import Change, Lease, Settlement

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
    database.execute_many(
        _ADVANCE,
        [
            (*_news(its), now, database.adapt_id(lease.run_id))
            for lease, its in by_run.items()
            if any(_news(its))
        ],
    )


def _news(changes: Sequence[Change]) -> tuple[str | None, int | None, int, int]:
    progress = [change.progress for change in changes if change.progress is not None]
    done = [c.step.index for c in changes if c.step is not None and c.step.is_checkpoint]
    return (
        progress[-1] if progress else None,
        max(done) + 1 if done else None,
        len(done),
        len(done),
    )


def settle(changes: Sequence[Change], keys_of: dict[Lease, str]) -> bool:
    """Complete, fail or hand back the runs of these changes; True when others may start now."""
    settled = [(c.lease, c.settlement) for c in changes if c.settlement is not None]
    if not settled:
        return False
    now = database.adapt_time(clock.now())
    database.execute_many(_SETTLE, [_settled(lease, how, now) for lease, how in settled])
    checkpoints.forget(
        [lease.run_id for lease, how in settled if how.is_terminal and not how.keep_steps]
    )
    freed = keys.unblock([keys_of[lease] for lease, _ in settled if lease in keys_of])
    return freed > 0 or any(not how.is_terminal for _, how in settled)


def _settled(lease: Lease, how: Settlement, now: Any) -> tuple[Any, ...]:
    ended = now if how.is_terminal else None
    id_ = database.adapt_id(lease.run_id)
    return (how.status, how.output, how.error, how.traceback, ended, now, id_)


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
    from json import dumps

    return EventDraft(type_, run.pk, run.job_name, dumps(run.labels))
