"""The table that people read."""

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Row:
    """How one result is shown: its title, and the limit that stands beside it."""

    name: str
    title: str
    limit: str | None = None
    of_limit: str = ""


ROWS = (
    Row("limit.commits", "bare driver: commits/s, one connection"),
    Row("limit.triggers", "bare driver: a run and its event/s, a commit each"),
    Row("triggers.single", "triggers/s, a commit each", "limit.triggers", "of the bare driver"),
    Row("triggers.batch", "triggers/s in batches of 1,000", "limit.commits", "runs per commit/s"),
    Row("runs.one", "empty runs/s, one process", "limit.commits", "runs per commit/s"),
    Row("runs.async", "the same, async def", "limit.commits", "runs per commit/s"),
    Row("runs.two", "empty runs/s, two processes", "runs.one", "of one process"),
    Row("steps.one", "checkpointed steps/s, one process", "limit.commits", "steps per commit/s"),
    Row("steps.two", "checkpointed steps/s, two processes", "steps.one", "of one process"),
)


def table(database: str, result: dict[str, Any]) -> str:
    """All results of one database, as lines of text."""
    samples: Samples = result["samples"]
    lines = [f"\n{database} {result['version']}"]
    lines += [_line(row, samples) for row in ROWS if row.name in samples]
    lines += _waiting(samples) + _idle(samples)
    lines += _best(result["concurrency"]) + _history(samples, result["history"])
    return "\n".join(lines) + "\n"


def _line(row: Row, samples: Samples) -> str:
    rates = samples[row.name]
    text = f"  {row.title:<50}{_number(statistics.median(rates)):>9}   {_spread(rates):<17}"
    if row.limit in samples:
        ratio = statistics.median(rates) / statistics.median(samples[row.limit])
        text += f" {ratio:.2f} {row.of_limit}"
    return text.rstrip()


def _waiting(samples: Samples) -> list[str]:
    if "latency" not in samples:
        return []
    title = "ms from trigger to body, idle worker, p50 / p95"
    return [f"  {title:<50}{_p50_p95(samples['latency']):>9}   ({len(samples['latency'])} samples)"]


def _p50_p95(milliseconds: Sequence[float]) -> str:
    return f"{percentile(milliseconds, 50):.1f} / {percentile(milliseconds, 95):.1f}"


def percentile(samples: Sequence[float], percent: int) -> float:
    """The value that so many percent of the samples do not exceed."""
    if len(samples) == 1:
        return samples[0]
    return statistics.quantiles(samples, n=100, method="inclusive")[percent - 1]


def _idle(samples: Samples) -> list[str]:
    if "idle.cpu" not in samples:
        return []
    cpu, memory = samples["idle.cpu"][0], samples["idle.memory"][0]
    return [
        f"  {'idle worker: CPU, % of a core':<50}{cpu:>9.2f}",
        f"  {'idle worker: MiB above django.setup()':<50}{memory:>9.1f}",
    ]


def _best(curves: dict[str, dict[str, list[float]]]) -> list[str]:
    titles = {"runs.one": "best empty runs/s", "steps.one": "best steps/s"}
    lines = []
    for name, points in curves.items():
        slots, rates = max(points.items(), key=lambda point: statistics.median(point[1]))
        title = f"{titles[name]}, one process, --concurrency {slots}"
        lines.append(f"  {title:<50}{_number(statistics.median(rates)):>9}   {_spread(rates)}")
    return lines


def _history(empty: Samples, sizes: dict[str, Samples]) -> list[str]:
    lines = []
    for size, samples in sizes.items():
        lines.append(f"  with {int(size):,} finished runs in the tables:")
        for row in ROWS:
            if row.name in samples:
                was = {f"{row.name}.empty": empty[row.name]}
                again = Row(row.name, f"  {row.title}", f"{row.name}.empty", "of empty tables")
                lines.append(_line(again, {**samples, **was}))
        lines += [f"  {line}" for line in _waiting(samples)]
    return lines


def _number(rate: float) -> str:
    return f"{rate:,.0f}"


def _spread(rates: Sequence[float]) -> str:
    return f"{_number(min(rates))}-{_number(max(rates))}"


def machine() -> str:
    """The processors and the memory of this machine, in a line."""
    name, memory = "unknown processor", ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = names[0] if names else name
        total = Path("/proc/meminfo").read_text().split()[1]
        memory = f", {int(total) / 1024**2:.0f} GiB"
    return f"{os.cpu_count()} cores ({name}){memory}"
