"""Charts as data for accessible SVG: bars and lines in a box of 0 to 100 by 0 to 100."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil, floor, log10
from typing import Any, Final

from django.utils import formats, timezone
from django.utils.translation import gettext_lazy as _

from django_durably import clock
from django_durably.models import Rollup
from django_durably.models.rollup import ALL_JOBS, MINUTE, QUARTER
from django_durably.storage import database, histograms, rollups
from django_durably.templatetags.durably_admin import seconds as in_words


@dataclass(frozen=True)
class Period:
    """A length of time, and the sizes (in seconds) of its bars and of the rollups beneath."""

    name: str
    label: Any
    length: timedelta
    bar: int
    rollup: int

    def starts(self) -> list[datetime]:
        """Where each bar begins; the last one holds the present moment."""
        last = rollups.floor(clock.now(), self.bar)
        count = int(self.length.total_seconds()) // self.bar
        return [last - timedelta(seconds=self.bar * back) for back in range(count - 1, -1, -1)]


PERIODS: Final = {
    "hour": Period("hour", _("Last hour"), timedelta(hours=1), MINUTE, MINUTE),
    "day": Period("day", _("Last day"), timedelta(days=1), QUARTER, QUARTER),
    "week": Period("week", _("Last week"), timedelta(days=7), 2 * 3600, QUARTER),
}


@dataclass
class Span:
    """What ended in one bar of a chart."""

    start: datetime
    counts: dict[str, int] = field(default_factory=dict)
    durations: dict[str, int] = field(default_factory=dict)
    waits: dict[str, int] = field(default_factory=dict)

    def add(self, row: Rollup) -> None:
        self.counts[row.status] = self.counts.get(row.status, 0) + row.count
        if row.status != "cancelled":
            self.durations = histograms.merge([self.durations, row.durations])
            self.waits = histograms.merge([self.waits, row.waits])


def spans(period: Period) -> list[Span]:
    """All bars of a period, read in one query."""
    found = {start: Span(start) for start in period.starts()}
    rows = Rollup.objects.using(database.connection().alias).filter(
        job_name=ALL_JOBS, seconds=period.rollup, start__gte=min(found)
    )
    for row in rows:
        span = found.get(rollups.floor(row.start, period.bar))
        if span is not None:
            span.add(row)
    return list(found.values())


@dataclass(frozen=True)
class Bar:
    x: str
    y: str
    width: str
    height: str
    kind: str
    title: str


@dataclass(frozen=True)
class Line:
    points: str
    kind: str
    label: str


@dataclass(frozen=True)
class Chart:
    """A drawing, the numbers of its axes, and the same as a table."""

    name: str
    title: Any
    summary: str
    top: str
    bars: list[Bar] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    header: Sequence[Any] = ()
    table: list[tuple[str, ...]] = field(default_factory=list)
    is_empty: bool = False
    from_: str = ""


def throughput(found: Sequence[Span]) -> Chart:
    """Stacked bars: completed below, failed and cancelled above."""
    top = nice(max((sum(span.counts.values()) for span in found), default=0))
    totals = {kind: sum(s.counts.get(kind, 0) for s in found) for kind in _STACK}
    return Chart(
        name="throughput",
        title=_("Throughput"),
        summary=str(_("%(completed)s completed, %(failed)s failed, %(cancelled)s cancelled"))
        % {kind: formats.number_format(count, 0) for kind, count in totals.items()},
        top=formats.number_format(top, 0),
        bars=[bar for at, span in enumerate(found) for bar in _stack(at, len(found), span, top)],
        header=(_("Time"), _("completed"), _("failed"), _("cancelled")),
        table=[
            (_when(span.start), *(str(span.counts.get(kind, 0)) for kind in _STACK))
            for span in found
            if span.counts
        ],
        is_empty=not any(totals.values()),
        from_=_when(found[0].start),
    )


_STACK: Final = ("completed", "failed", "cancelled")


def _stack(at: int, count: int, span: Span, top: float) -> list[Bar]:
    bars, below, width = [], 0.0, 100 / count
    words = ", ".join(
        f"{span.counts[kind]} {_KINDS[kind]}" for kind in _STACK if kind in span.counts
    )
    for kind in _STACK:
        if number := span.counts.get(kind, 0):
            # A single failure among thousands must still be seen.
            height = max(number / top * 100, 1.5)
            place = {"x": f"{at * width:.3f}", "y": f"{max(0, 100 - below - height):.3f}"}
            size = {"width": f"{width * 0.82:.3f}", "height": f"{height:.3f}"}
            bars.append(Bar(**place, **size, kind=kind, title=f"{_when(span.start)}: {words}"))
            below += height
    return bars


_KINDS: Final = {"completed": _("completed"), "failed": _("failed"), "cancelled": _("cancelled")}


def percentiles(name: str, title: Any, found: Sequence[Span], part: str) -> Chart:
    """Two lines, p50 and p95, of one of the histograms: `durations` or `waits`."""
    shares = (("p50", 0.5), ("p95", 0.95))
    values = {
        label: [histograms.percentile(getattr(span, part), share) for span in found]
        for label, share in shares
    }
    whole = histograms.merge(getattr(span, part) for span in found)
    top = nice(max((v for line in values.values() for v in line if v is not None), default=0))
    overall = [
        f"{label} {in_words(histograms.percentile(whole, share))}" for label, share in shares
    ]
    return Chart(
        name=name,
        title=title,
        summary=", ".join(overall),
        top=in_words(top),
        lines=[
            Line(points, label, label)
            for label, line in values.items()
            for points in _polylines(line, top)
        ],
        header=(_("Time"), "p50", "p95"),
        table=[
            (_when(span.start), in_words(values["p50"][at]), in_words(values["p95"][at]))
            for at, span in enumerate(found)
            if values["p50"][at] is not None
        ],
        is_empty=not whole,
        from_=_when(found[0].start),
    )


def _polylines(values: Sequence[float | None], top: float) -> list[str]:
    """The points of each stretch without a hole; a lone value becomes a short line."""
    stretches: list[list[tuple[float, float]]] = [[]]
    step = 100 / len(values)
    for at, value in enumerate(values):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append(((at + 0.41) * step, 100 - value / top * 98))
    drawn = [
        [(part[0][0] - step * 0.4, part[0][1]), (part[0][0] + step * 0.4, part[0][1])]
        if len(part) == 1
        else part
        for part in stretches
        if part
    ]
    return [" ".join(f"{x:.2f},{y:.2f}" for x, y in part) for part in drawn]


def nice(value: float) -> float:
    """The next round number that is not smaller: 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    for factor in (1, 2, 5, 10):
        if value <= factor * power:
            return float(ceil(factor * power)) if value > 1 else factor * power
    return 10 * power


def _when(moment: datetime) -> str:
    local = timezone.localtime(moment)
    return f"{formats.date_format(local, 'SHORT_DATE_FORMAT')} {local:%H:%M}"
