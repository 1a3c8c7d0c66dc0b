"""Keeping the rollups: minutes are counted from the runs that ended, quarters from minutes.

Every span is counted anew as a whole until it can no longer change, so that it does not matter
how many workers do it, or how often. Runs that end are committed shortly after the time that they
carry: the last minutes are counted again.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from django_durably import clock
from django_durably.models import Rollup, Run
from django_durably.models.rollup import ALL_JOBS, MINUTE, QUARTER
from django_durably.models.run import TERMINAL, RunQuerySet
from django_durably.storage import database, histograms

AGAIN = timedelta(minutes=2)
"""How far back the minutes are counted again."""
REACH = timedelta(days=8)
"""How far back runs are counted when rollups begin to be kept."""
AT_ONCE = timedelta(hours=1)
"""How much is counted in one go."""
KEEP_MINUTES = timedelta(days=1)
KEEP_QUARTERS = timedelta(days=90)

_EPOCH = {
    "postgresql": "FLOOR(EXTRACT(EPOCH FROM {0}))",
    "sqlite": "CAST(STRFTIME('%%s', {0}) AS INTEGER)",
    "mysql": "TIMESTAMPDIFF(SECOND, '1970-01-01', {0})",
}
_MILLISECONDS = {
    "postgresql": "(EXTRACT(EPOCH FROM ({1} - {0})) * 1000)::float8",
    "sqlite": "((JULIANDAY({1}) - JULIANDAY({0})) * 86400000.0)",
    "mysql": "(TIMESTAMPDIFF(MICROSECOND, {0}, {1}) / 1000.0)",
}


@dataclass
class _Sum:
    count: int = 0
    duration: float = 0.0
    durations: dict[str, int] = field(default_factory=dict)
    waits: dict[str, int] = field(default_factory=dict)

    def add(self, count: int, duration: float, wait_in: int, duration_in: int) -> None:
        self.count += count
        self.duration += duration
        _raise(self.durations, duration_in, count)
        _raise(self.waits, wait_in, count)

    def merge(self, row: Rollup) -> None:
        self.count += row.count
        self.duration += row.total_duration
        self.durations = histograms.merge([self.durations, row.durations])
        self.waits = histograms.merge([self.waits, row.waits])


def _raise(histogram: dict[str, int], bucket: int, count: int) -> None:
    if bucket >= 0:  # a run that never started has neither
        key = str(min(bucket, histograms.LAST))
        histogram[key] = histogram.get(key, 0) + count


_Key = tuple[datetime, str, str]


@database.retrying
def keep(every: timedelta) -> bool:
    """Bring the rollups up to date unless another worker did it less than ``every`` ago.

    Returns True when there is more to do at once.
    """
    newest = _rollups().filter(seconds=MINUTE).order_by("-start").first()
    if newest is not None and _is_fresh(newest, every):
        return False
    since = _beginning(newest)
    if since is None:
        return False
    until = min(since + AT_ONCE, clock.now() + timedelta(seconds=1))
    _save(MINUTE, _count(since, until))
    _save(QUARTER, _of_quarters(since, until))
    return until < clock.now()


def _is_fresh(newest: Rollup, every: timedelta) -> bool:
    now = clock.now()
    return now - newest.start < AT_ONCE and now - newest.updated_at < every


def forget() -> int:
    """Drop the rollups that no chart shows; how many went."""
    now = clock.now()
    minutes = _rollups().filter(seconds=MINUTE, start__lt=now - KEEP_MINUTES)
    quarters = _rollups().filter(seconds=QUARTER, start__lt=now - KEEP_QUARTERS)
    return minutes.delete()[0] + quarters.delete()[0]


def _rollups() -> QuerySet[Rollup]:
    return Rollup.objects.using(database.connection().alias)


def _beginning(newest: Rollup | None) -> datetime | None:
    """The minute to count from: a little before the last one, or the next with finished runs."""
    reach = clock.now() - REACH
    since = max(newest.start - AGAIN, reach) if newest else reach
    if clock.now() - since < AT_ONCE:
        return since
    # Nothing may have ended for days: do not walk through them hour by hour.
    after = newest.start + timedelta(seconds=MINUTE) if newest else since
    first = _first_end(Run.objects.using(database.connection().alias), after)
    if first is None:
        return None
    return max(since, floor(first, MINUTE) - AGAIN)


def _first_end(runs: RunQuerySet, after: datetime) -> datetime | None:
    found = [
        runs.filter(status=status, completed_at__gte=after)
        .order_by("completed_at")
        .values_list("completed_at", flat=True)
        .first()
        for status in TERMINAL
    ]
    return min((moment for moment in found if moment is not None), default=None)


def floor(moment: datetime, seconds: int) -> datetime:
    """The beginning of the span that this moment is in."""
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)


def _count(since: datetime, until: datetime) -> dict[_Key, _Sum]:
    sums: dict[_Key, _Sum] = defaultdict(_Sum)
    for job, status, minute, wait_in, duration_in, count, duration in _grouped(since, until):
        start = datetime.fromtimestamp(int(minute) * MINUTE, UTC)
        for name in (job, ALL_JOBS):
            values = (int(count), float(duration or 0) / 1000, int(wait_in), int(duration_in))
            sums[start, name, status].add(*values)
    return sums


def _grouped(since: datetime, until: datetime) -> list[tuple[Any, ...]]:
    vendor = database.connection().vendor
    wait = _MILLISECONDS[vendor].format("created_at", "started_at")
    duration = _MILLISECONDS[vendor].format("started_at", "completed_at")
    minute = f"FLOOR({_EPOCH[vendor].format('completed_at')} / {MINUTE})"
    sql = (
        f"SELECT job_name, status, {minute}, {_bucket(wait)}, {_bucket(duration)}, COUNT(*), "
        f"SUM({duration}) FROM durably_run "
        f"WHERE status IN ({database.placeholders(len(TERMINAL))}) "
        "AND completed_at >= %s AND completed_at < %s GROUP BY 1, 2, 3, 4, 5"
    )
    times = [database.adapt_time(floor(since, MINUTE)), database.adapt_time(until)]
    return database.select(sql, [*(status.value for status in TERMINAL), *times])


def _bucket(milliseconds: str) -> str:
    logarithm = f"FLOOR(LN({milliseconds}) * {histograms.PER_DOUBLING} / LN(2.0))"
    return (
        f"CASE WHEN started_at IS NULL THEN -1 WHEN {milliseconds} < 1.5 THEN 0 "
        f"ELSE {logarithm} END"
    )


def _of_quarters(since: datetime, until: datetime) -> dict[_Key, _Sum]:
    start = floor(since, QUARTER)
    minutes: Iterable[Rollup] = _rollups().filter(seconds=MINUTE, start__gte=start, start__lt=until)
    sums: dict[_Key, _Sum] = defaultdict(_Sum)
    for row in minutes:
        sums[floor(row.start, QUARTER), row.job_name, row.status].merge(row)
    return sums


def _save(seconds: int, sums: dict[_Key, _Sum]) -> None:
    now = clock.now()
    rows = [
        Rollup(
            job_name=job,
            seconds=seconds,
            start=start,
            status=status,
            count=total.count,
            total_duration=total.duration,
            durations=total.durations,
            waits=total.waits,
            updated_at=now,
        )
        for (start, job, status), total in sorted(sums.items())
    ]
    _rollups().bulk_create(
        rows,
        update_conflicts=True,
        update_fields=["count", "total_duration", "durations", "waits", "updated_at"],
        unique_fields=_unique_fields(),
        batch_size=500,
    )


def _unique_fields() -> list[str] | None:
    # MariaDB finds the constraint by itself, and refuses to be told.
    told = database.connection().features.supports_update_conflicts_with_target
    return ["seconds", "start", "job_name", "status"] if told else None
