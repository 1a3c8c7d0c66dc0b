"""Purging runs that ended long ago, in batches of one transaction each."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django_durably import clock
from django_durably.models import Run, RunQuerySet
from django_durably.models.run import TERMINAL
from django_durably.storage import database

_BATCH = 500


def old_runs(runs: RunQuerySet, older_than: timedelta) -> RunQuerySet:
    """The terminal runs among these that ended longer ago than this."""
    return runs.filter(status__in=TERMINAL, completed_at__lt=clock.now() - older_than)


def purge(runs: RunQuerySet, older_than: timedelta, limit: int | None = None) -> int:
    """Delete at most ``limit`` old runs, the oldest first; how many went."""
    done = 0
    while limit is None or done < limit:
        size = _BATCH if limit is None else min(_BATCH, limit - done)
        deleted = _purge_batch(old_runs(runs, older_than), size)
        done += deleted
        if deleted < size:
            break
    return done


@database.retrying
def _purge_batch(old: RunQuerySet, size: int) -> int:
    with database.atomic():
        ids = _oldest(old, size)
        if not ids:
            return 0
        stale = Run.objects.using(database.connection().alias).filter(pk__in=ids)
        return stale.delete()[1].get("durably.Run", 0)


def _oldest(old: RunQuerySet, size: int) -> list[UUID]:
    """The first to have ended. One ordered range of the index per status: all statuses in one
    query would sort every old run for each batch."""
    found: list[tuple[Any, UUID]] = []
    for status in TERMINAL:
        ended = old.filter(status=status).order_by("completed_at")
        found += ended.values_list("completed_at", "pk")[:size]
    return [id_ for _, id_ in sorted(found)[:size]]
