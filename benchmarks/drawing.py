"""Curves as SVG, made of text: no library, and readable on a light and on a dark page."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 130, 36, 44
_COLOURS = {"sqlite": "#2f855a", "postgresql": "#2b6cb0", "mariadb": "#b7791f"}
_GREY = "#808080"


@dataclass(frozen=True, slots=True)
class Picture:
    """Lines over a horizontal axis, each a series of points."""

    title: str
    across: str
    series: dict[str, list[tuple[float, float]]]
    logarithmic: bool = True


Databases = dict[str, dict[str, Any]]


def pictures(databases: Databases) -> dict[str, str]:
    """All curves for which there are results, by the name of their file."""
    titles = {"runs": "Empty runs per second", "steps": "Checkpointed steps per second"}
    drawn: dict[str, Picture] = {}
    for short, title in titles.items():
        for kind, across in (
            ("concurrency", "--concurrency, one process"),
            ("history", "finished runs in the tables"),
        ):
            series = {
                name: points
                for name, result in databases.items()
                if (points := _POINTS[kind](result, f"{short}.one"))
            }
            drawn[f"{short}-over-{kind}"] = Picture(title, across, series)
    latency = {
        name: _distribution(result["samples"]["latency"])
        for name, result in databases.items()
        if "latency" in result["samples"]
    }
    drawn["latency"] = Picture(
        "Idle worker: percent of runs started within so many milliseconds",
        "ms from trigger to the body",
        latency,
    )
    return {name: draw(picture) for name, picture in drawn.items() if picture.series}


def _over_concurrency(result: dict[str, Any], name: str) -> list[tuple[float, float]]:
    points = result["concurrency"].get(name, {})
    return [(float(slots), statistics.median(rates)) for slots, rates in points.items()]


def _over_history(result: dict[str, Any], name: str) -> list[tuple[float, float]]:
    """The empty table stands at one run, for the sake of the logarithm."""
    found = [(float(size), samples.get(name)) for size, samples in result["history"].items()]
    if found:
        found.insert(0, (1.0, result["samples"].get(name)))
    return [(size, statistics.median(rates)) for size, rates in found if rates]


_POINTS: dict[str, Callable[[dict[str, Any], str], list[tuple[float, float]]]] = {
    "concurrency": _over_concurrency,
    "history": _over_history,
}


def _distribution(milliseconds: Sequence[float]) -> list[tuple[float, float]]:
    ordered = sorted(milliseconds)
    return [(at, 100 * (n + 1) / len(ordered)) for n, at in enumerate(ordered)]


def draw(picture: Picture) -> str:
    """The SVG of this picture."""
    points = [point for line in picture.series.values() for point in line]
    across = _Scale([x for x, _ in points], _LEFT, _WIDTH - _RIGHT, picture.logarithmic)
    up = _Scale([0.0, *(y for _, y in points)], _HEIGHT - _BOTTOM, _TOP, logarithmic=False)
    parts = [_text(_LEFT, 20, picture.title, weight="bold")]
    parts += [_grid(up(y), y) for y in up.ticks()]
    parts += [_text(across(x), _HEIGHT - 24, _short(x), "middle") for x in across.ticks()]
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, picture.across, "middle"))
    for name, line in picture.series.items():
        parts += _line(name, [(across(x), up(y)) for x, y in sorted(line)])
    parts += _legend(list(picture.series))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n' + "\n".join(parts) + "\n</svg>\n"
    )


class _Scale:
    """Values to pixels."""

    def __init__(self, values: Sequence[float], start: float, stop: float, logarithmic: bool):
        self._log = logarithmic and min(values) > 0
        self._low, self._high = min(values), max(values)
        if not self._log:
            self._high = self._low + _nice((self._high - self._low) / 5) * 5
        self._start, self._stop = start, stop

    def __call__(self, value: float) -> float:
        low, high, at = self._low, self._high, value
        if self._log:
            low, high, at = math.log(low), math.log(high), math.log(value)
        share = (at - low) / (high - low) if high > low else 0.5
        return self._start + share * (self._stop - self._start)

    def ticks(self) -> list[float]:
        if not self._log:
            return [self._low + n * (self._high - self._low) / 5 for n in range(6)]
        first, last = math.floor(math.log10(self._low)), math.ceil(math.log10(self._high))
        steps = (1,) if last - first > 3 else (1, 2, 5)
        ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        return [tick for tick in ticks if self._low <= tick <= self._high]


def _nice(step: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= step)


def _grid(y: float, value: float) -> str:
    line = (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
        f'stroke="{_GREY}" stroke-opacity="0.3"/>'
    )
    return line + _text(_LEFT - 6, y + 4, _short(value), "end")


def _line(name: str, points: Sequence[tuple[float, float]]) -> list[str]:
    colour = _COLOURS.get(name, _GREY)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]


def _legend(names: Sequence[str]) -> list[str]:
    left = _WIDTH - _RIGHT + 14
    return [
        _text(left, _TOP + 12 + 20 * n, name, fill=_COLOURS.get(name, _GREY), weight="bold")
        for n, name in enumerate(names)
    ]


def _text(
    x: float, y: float, text: str, anchor: str = "start", fill: str = _GREY, weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" '
        f'font-weight="{weight}">{text}</text>'
    )


def _short(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:,.4g}"
