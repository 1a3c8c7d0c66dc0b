"""What is wrong, in words, each with the place to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import DateTimeField, Sum
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_durably import clock
from django_durably.admin.listing import COUNT_UP_TO, first_id_of, runs
from django_durably.models import Rollup, RunStatus, Worker
from django_durably.models.rollup import ALL_JOBS, MINUTE
from django_durably.storage import database, workers
from django_durably.storage.distinct import Head
from django_durably.templatetags.durably_admin import seconds

LATELY: Final = timedelta(minutes=10)
PATIENCE: Final = timedelta(minutes=1)
"""For so long a run may wait before it is said."""
MANY_FAILURES: Final = 0.2


@dataclass(frozen=True)
class Problem:
    """`level` is "error" or "warning"; `query` filters the run list to what is meant."""

    level: str
    text: str
    query: str = ""


def find(alive: list[Worker], heads: list[Head]) -> list[Problem]:
    """All problems, the gravest first."""
    found = [*_workers(alive, heads), *_leases(), *_queue(alive, heads), *_failures()]
    return sorted(found, key=lambda problem: problem.level != "error")


def _workers(alive: list[Worker], heads: list[Head]) -> Iterator[Problem]:
    if not alive:
        text = _("No worker is alive. Start one: manage.py run_worker.")
        yield Problem("error" if heads else "warning", text)
        return
    taken = {job for worker in alive for job in worker.jobs}
    for head in heads:
        if head.job_name not in taken:
            text = _("Runs of %s are waiting, and no live worker takes this job.") % head.job_name
            yield Problem("error", text, "status=pending")


def _leases() -> Iterator[Problem]:
    now = RawSQL(clock.database_now_sql(database.connection()), [], output_field=DateTimeField())
    expired = runs().filter(status=RunStatus.LEASED, lease_expires_at__lt=now)
    if count := expired.order_by()[:COUNT_UP_TO].count():
        text = ngettext(
            "%d run is held by a worker that has not been heard of in time.",
            "%d runs are held by workers that have not been heard of in time.",
            count,
        )
        yield Problem("error", text % count, "status=leased")


def _queue(alive: list[Worker], heads: list[Head]) -> Iterator[Problem]:
    if not heads or not alive:
        return
    waiting = clock.now() - heads[0].created_at
    came, ended = _came_lately(), _ended_lately()
    if waiting > PATIENCE:
        text = _("The oldest claimable run (%(job)s) has waited for %(time)s.")
        text %= {"job": heads[0].job_name, "time": seconds(waiting)}
        yield Problem("warning", text, "status=pending")
    if came > 20 and came > ended * 1.2 and waiting > PATIENCE / 6:
        text = _(
            "The queue is growing: %(came)d runs came in the last 10 minutes, %(ended)d ended."
        )
        yield Problem("warning", text % {"came": came, "ended": ended}, "status=pending")


def _came_lately() -> int:
    since = first_id_of(clock.now() - LATELY)
    return runs().filter(pk__gte=since).order_by()[:COUNT_UP_TO].count()


def _ended_lately(*statuses: str) -> int:
    rows = Rollup.objects.using(database.connection().alias).filter(
        job_name=ALL_JOBS, seconds=MINUTE, start__gte=clock.now() - LATELY
    )
    if statuses:
        rows = rows.filter(status__in=statuses)
    return rows.aggregate(sum=Sum("count"))["sum"] or 0


def _failures() -> Iterator[Problem]:
    failed, ended = _ended_lately("failed"), _ended_lately("failed", "completed")
    if failed and failed > ended * MANY_FAILURES:
        text = _("%(failed)d of the %(ended)d runs that ended in the last 10 minutes failed.")
        yield Problem("warning", text % {"failed": failed, "ended": ended}, "status=failed")


def alive_workers() -> list[Worker]:
    """The workers that have been heard of lately."""
    since = clock.now() - workers.silence_of_the_dead()
    found = Worker.objects.using(database.connection().alias).filter(heartbeat_at__gte=since)
    return list(found.order_by("host", "started_at"))
