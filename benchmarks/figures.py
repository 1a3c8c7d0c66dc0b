"""What is measured. A figure is a function that measures once and returns a rate or samples."""

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Max, Min

from benchmarks import jobs, limits, processes, site
from benchmarks.plan import Plan
from django_durably.decorators import Job
from django_durably.models import Run

_PATIENCE_SECONDS = 300
_WARM_UP = 20
_BATCH = 1000

Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. It may bring several results, each with samples of its own."""

    name: str
    measure: Callable[[Plan], Samples]
    databases: tuple[str, ...] = ("sqlite", "postgresql", "mysql")


def commits(plan: Plan) -> Samples:
    return {"limit.commits": [limits.commits_per_second(plan.limit_seconds)]}


def bare_triggers(plan: Plan) -> Samples:
    rate = limits.runs_per_second(plan.limit_seconds)
    site.forget_pending()
    return {"limit.triggers": [rate]}


def single_triggers(plan: Plan) -> Samples:
    for number in range(_WARM_UP):
        jobs.empty.trigger({"i": number})
    begin = time.perf_counter()
    for number in range(plan.single_triggers):
        jobs.empty.trigger({"i": number})
    rate = plan.single_triggers / (time.perf_counter() - begin)
    site.forget_pending()
    return {"triggers.single": [rate]}


def batch_triggers(plan: Plan) -> Samples:
    jobs.empty.batch_trigger([{"i": 0}])
    begin = time.perf_counter()
    for first in range(0, plan.batch_triggers, _BATCH):
        size = min(_BATCH, plan.batch_triggers - first)
        jobs.empty.batch_trigger([{"i": first + at} for at in range(size)])
    rate = plan.batch_triggers / (time.perf_counter() - begin)
    site.forget_pending()
    return {"triggers.batch": [rate]}


def runs(plan: Plan) -> Samples:
    return {"runs.one": [executed(jobs.empty, plan.runs)]}


def runs_of_async(plan: Plan) -> Samples:
    return {"runs.async": [executed(jobs.empty_async, plan.runs)]}


def runs_of_two(plan: Plan) -> Samples:
    return {"runs.two": [executed(jobs.empty, plan.runs * 2, count=2)]}


def steps(plan: Plan) -> Samples:
    return {"steps.one": [jobs.STEPS * executed(jobs.steps, plan.step_runs)]}


def steps_of_two(plan: Plan) -> Samples:
    return {"steps.two": [jobs.STEPS * executed(jobs.steps, plan.step_runs * 2, count=2)]}


def executed(
    job: Job[Any, Any], number: int, concurrency: int | None = None, count: int = 1
) -> float:
    """Runs per second of warm workers that find so many runs at once.

    From the first claim to the last outcome, as the runs' rows tell.
    """
    options = ["--concurrency", str(concurrency)] if concurrency else []
    with processes.workers(*options, processes=count):
        _trigger(job, _WARM_UP * count)
        _wait_until_done()
        newest = Run.objects.order_by("-pk").values_list("pk", flat=True)[0]
        _trigger(job, number)
        _wait_until_done()
    found = Run.objects.filter(pk__gt=newest, status="completed").aggregate(
        count=Count("pk"), begin=Min("started_at"), end=Max("completed_at")
    )
    if found["count"] != number:
        raise RuntimeError(f"{found['count']} of {number} runs of {job.name} completed")
    return number / float((found["end"] - found["begin"]).total_seconds())


def _trigger(job: Job[Any, Any], number: int) -> None:
    """So many runs, all visible at the same moment."""
    with transaction.atomic():
        for first in range(0, number, _BATCH):
            numbers = range(first, min(number, first + _BATCH))
            job.batch_trigger([{"i": number} for number in numbers])


def _wait_until_done() -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while _is_waiting("pending") or _is_waiting("leased"):
        if time.monotonic() > end:
            raise RuntimeError(f"Runs were not executed within {_PATIENCE_SECONDS} s")
        time.sleep(0.05)


def _is_waiting(status: str) -> bool:
    blocked = " AND NOT blocked" if status == "pending" and connection.vendor != "mysql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM durably_run WHERE status = '{status}'{blocked} LIMIT 1")
        return cursor.fetchone() is not None


def latency(plan: Plan) -> Samples:
    """Milliseconds from the return of `trigger` here to the first line of the body in a worker."""
    with _marks() as marks, processes.workers():
        jobs.mark.trigger_and_wait({"i": -1}, timeout=30)
        returned = [_trigger_after_pause(plan, number) for number in range(plan.latencies)]
        _wait_until_done()
        lines = marks.read_text().splitlines()
    started = {int(number): int(at) for number, at in map(str.split, lines)}
    return {"latency": [(started[i] - at) / 1e6 for i, at in enumerate(returned)]}


def _trigger_after_pause(plan: Plan, number: int) -> int:
    """Pauses of random length, so that no poll stays in step with them."""
    time.sleep(random.uniform(0.6, 1.4) * plan.latency_gap)
    jobs.mark.trigger({"i": number})
    return time.monotonic_ns()


@contextmanager
def _marks() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ[jobs.MARKS] = str(path := Path(folder, "marks"))
        yield path


def idle(plan: Plan) -> Samples:
    """An idle worker: its CPU in percent of a core, its memory above `django.setup()` in MiB."""
    with processes.bare_setup() as pid:
        bare = processes.memory_mib(pid)
    with processes.workers() as (pid,):
        time.sleep(1)
        before, begin = processes.cpu_seconds(pid), time.monotonic()
        time.sleep(plan.idle_seconds)
        used = processes.cpu_seconds(pid) - before
        percent = 100 * used / (time.monotonic() - begin)
        return {"idle.cpu": [percent], "idle.memory": [processes.memory_mib(pid) - bare]}


FIGURES: Sequence[Figure] = (
    Figure("limit.commits", commits),
    Figure("limit.triggers", bare_triggers),
    Figure("triggers.single", single_triggers),
    Figure("triggers.batch", batch_triggers),
    Figure("runs.one", runs),
    Figure("runs.async", runs_of_async),
    Figure("runs.two", runs_of_two, ("postgresql", "mysql")),
    Figure("steps.one", steps),
    Figure("steps.two", steps_of_two, ("postgresql", "mysql")),
    Figure("latency", latency),
    Figure("idle", idle),
)

AGAINST_HISTORY = ("triggers.single", "triggers.batch", "runs.one", "steps.one", "latency")
"""The figures that are measured again with finished runs in the tables."""
