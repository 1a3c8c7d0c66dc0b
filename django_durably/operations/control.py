"""What people do to a run: cancel, retrigger, delete; and purging old ones."""

from datetime import timedelta

from asgiref.sync import sync_to_async

from django_durably import wakeups
from django_durably.exceptions import ConflictError, NotFoundError
from django_durably.jobs import registry
from django_durably.models import Run, RunQuerySet
from django_durably.operations import triggers
from django_durably.storage import database, retention, transitions


def cancel(run: Run) -> None:
    """Cancel an active run. Raises ConflictError when terminal, NotFoundError when gone."""
    cancelled, draft, event_ids = transitions.cancel(run.pk)
    _take_over(run, cancelled)
    topics = (wakeups.CANCELLATIONS, wakeups.RUNS, wakeups.EVENTS)
    triggers.after_commit([draft], event_ids, *topics)


def _take_over(run: Run, fresh: Run) -> None:
    for field in fresh._meta.concrete_fields:
        setattr(run, field.attname, getattr(fresh, field.attname))


def retrigger(run: Run, triggered_by: str | None = None) -> Run:
    """A fresh run like this terminal one, without its idempotency key.

    Raises ConflictError when it is active or its concurrency key is taken by a waiting run,
    NotFoundError when it or its job is gone, ValidationError when today's schema refuses the input.
    """
    fresh = _read(run)
    if fresh.is_active:
        raise ConflictError(f"Run is still {fresh.status}")
    request = triggers.make_request(
        registry.get(fresh.job_name),
        fresh.input,
        concurrency_key=fresh.concurrency_key,
        labels=fresh.labels,
        retriggered_from=fresh.pk,
        triggered_by=triggered_by,
    )
    return triggers.trigger(request)


def _read(run: Run) -> Run:
    """The run as it is now: the caller's may be from before it ended. Raises NotFoundError."""
    try:
        return Run.objects.using(database.connection().alias).get(pk=run.pk)
    except Run.DoesNotExist:
        raise NotFoundError("Run not found") from None


def delete(run: Run) -> tuple[int, dict[str, int]]:
    """Delete a terminal run. Raises ConflictError when it is active, NotFoundError when gone."""
    deleted, draft, event_ids = transitions.delete(run.pk)
    triggers.after_commit([draft], event_ids, wakeups.EVENTS)
    return deleted


def purge(runs: RunQuerySet, older_than: timedelta, limit: int | None = None) -> int:
    """Delete terminal runs that ended longer ago than ``older_than``; how many went."""
    return retention.purge(runs, older_than, limit)


acancel = sync_to_async(cancel, thread_sensitive=True)
aretrigger = sync_to_async(retrigger, thread_sensitive=True)
adelete = sync_to_async(delete, thread_sensitive=True)
