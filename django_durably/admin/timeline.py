"""The waterfall of a run: what stood when, as percentages of the time from its trigger to its end.

Where a long wait before the start would leave the steps no room, time begins at the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from django_durably import clock
from django_durably.models import Run, Step


@dataclass(frozen=True)
class Bar:
    """One row: a span of time. `left` and `width` are percentages."""

    name: str
    kind: str
    seconds: float
    left: float
    width: float
    step: Any = None

    @property
    def x(self) -> str:
        return f"{self.left:.3f}%"

    @property
    def w(self) -> str:
        return f"{max(self.width, 0.4):.3f}%"


@dataclass(frozen=True)
class Timeline:
    """The rows in the order of time, the time between steps, and marks of the axis."""

    bars: list[Bar]
    total: float
    between: float | None
    marks: list[tuple[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class _Scale:
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return max((self.end - self.start).total_seconds(), 0.000001)

    def bar(self, name: str, kind: str, start: datetime, end: datetime, step: Any = None) -> Bar:
        seconds = max(0.0, (end - start).total_seconds())
        left = (max(start, self.start) - self.start).total_seconds() / self.seconds * 100
        shown = max(0.0, (end - max(start, self.start)).total_seconds()) / self.seconds * 100
        left = min(max(left, 0.0), 99.6)
        return Bar(name, kind, seconds, left, min(shown, 100 - left), step)


def draw(
    run: Run,
    steps: Sequence[Step],
    running: dict[str, Any] | None = None,
    *,
    in_part: bool = False,
) -> Timeline:
    """The timeline of these tries of steps; `running` is the step in progress, if one is.

    `in_part`: these are not all, and time begins and ends with them.
    """
    end = run.completed_at or clock.now()
    if in_part and steps:
        first, last = steps[0].started_at, steps[-1].completed_at or end
        scale, bars = _Scale(first, max(first, end if running else last)), []
    else:
        scale = _Scale(_beginning(run, end), end)
        bars = [scale.bar(_("waiting"), "waiting", run.created_at, run.started_at or end)]
    bars += [
        scale.bar(step.name, step.status, step.started_at, step.completed_at or end, step)
        for step in sorted(steps, key=lambda step: (step.started_at, step.pk))
    ]
    if running:
        bars.append(scale.bar(running["name"], "leased", running["since"], end))
    between = None if in_part else _between(run, steps, end)
    return Timeline(bars, scale.seconds, between, _marks(scale.seconds))


def _beginning(run: Run, end: datetime) -> datetime:
    if run.started_at is None:
        return run.created_at
    worked, waited = end - run.started_at, run.started_at - run.created_at
    return run.created_at if waited <= worked else run.started_at - worked * 0.05


def _between(run: Run, steps: Sequence[Step], end: datetime) -> float:
    """Seconds of the execution in which no step ran: the body itself, and pauses of it."""
    if run.started_at is None:
        return 0.0
    covered, last = 0.0, run.started_at
    for step in sorted(steps, key=lambda step: step.started_at):
        until = step.completed_at or end
        covered += max(0.0, (until - max(step.started_at, last)).total_seconds())
        last = max(last, until)
    return max(0.0, (end - run.started_at).total_seconds() - covered)


def _marks(total: float) -> list[tuple[str, float]]:
    """Four moments of the axis: a percentage for each number of seconds."""
    return [(f"{quarter * 25}%", total * quarter / 4) for quarter in range(5)]
