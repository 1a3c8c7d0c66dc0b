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

    def add(
        self, status: str, count: int, durations: dict[str, int], waits: dict[str, int]
    ) -> None:
        self.counts[status] = self.counts.get(status, 0) + count
        if status != "cancelled":
            histograms.add(self.durations, durations)
            histograms.add(self.waits, waits)


def spans(period: Period) -> list[Span]:
    """All bars of a period, read in one query."""
    found = {start: Span(start) for start in period.starts()}
    rows = Rollup.objects.using(database.connection().alias).filter(
        job_name=ALL_JOBS, seconds=period.rollup, start__gte=min(found)
    )
    for start, *sums in rows.values_list("start", "status", "count", "durations", "waits"):
        span = found.get(rollups.floor(start, period.bar))
        if span is not None:
            span.add(*sums)
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
class Chart:
    """A drawing, the numbers of its axes, and the same as a table."""

    name: str
    title: Any
    summary: str
    top: str
    bars: list[Bar] = field(default_factory=list)
    bottom: str = ""
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
    """For each bar the range from p50 to p95 of a histogram (`durations` or `waits`), on a
    logarithmic scale: milliseconds and hours have room beside each other."""
    pairs = [_pair(getattr(span, part)) for span in found]
    known = [pair for pair in pairs if pair is not None]
    scale = _Decades.around(known)
    whole = _pair(histograms.merge(getattr(span, part) for span in found))
    return Chart(
        name=name,
        title=title,
        summary="" if whole is None else f"p50 {in_words(whole[0])}, p95 {in_words(whole[1])}",
        top=in_words(scale.high),
        bottom=in_words(scale.low),
        bars=[
            bar
            for at, pair in enumerate(pairs)
            if pair is not None
            for bar in scale.bars(at, len(pairs), pair, _when(found[at].start))
        ],
        header=(_("Time"), "p50", "p95"),
        table=[
            (_when(span.start), in_words(pair[0]), in_words(pair[1]))
            for span, pair in zip(found, pairs, strict=True)
            if pair is not None
        ],
        is_empty=whole is None,
        from_=_when(found[0].start),
    )


_Pair = tuple[float, float]


def _pair(histogram: histograms.Histogram) -> _Pair | None:
    """p50 and p95."""
    middle = histograms.percentile(histogram, 0.5)
    high = histograms.percentile(histogram, 0.95)
    return None if middle is None or high is None else (middle, high)


@dataclass(frozen=True)
class _Decades:
    """A logarithmic scale between two powers of ten, in seconds."""

    low: float
    high: float

    @classmethod
    def around(cls, pairs: Sequence[_Pair]) -> _Decades:
        low = min((pair[0] for pair in pairs), default=0.01)
        high = max((pair[1] for pair in pairs), default=1.0)
        first = floor(log10(max(low, 0.001)))
        return cls(10.0**first, 10.0 ** max(ceil(log10(max(high, 0.001))), first + 1))

    def height(self, value: float) -> float:
        share = log10(max(value, self.low) / self.low) / log10(self.high / self.low)
        return min(share, 1.0) * 100

    def bars(self, at: int, count: int, pair: _Pair, when: str) -> list[Bar]:
        width = 100 / count
        middle, top = self.height(pair[0]), self.height(pair[1])
        title = f"{when}: p50 {in_words(pair[0])}, p95 {in_words(pair[1])}"
        x, size = f"{at * width:.3f}", f"{width * 0.82:.3f}"
        span = max(top - middle, 1)
        return [
            Bar(x, f"{100 - middle - span:.2f}", size, f"{span:.2f}", "range", title),
            Bar(x, f"{100 - middle - 1.2:.2f}", size, "2.4", "middle", title),
        ]


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
