"""All figures on one database, in a process of its own: `python -m benchmarks.session PLAN RESULT`.

Every repeat measures each figure once, so that a machine that slows down for a while does it to
all of them alike.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import django

from benchmarks.plan import Plan

Results = dict[str, Any]


def main(plan: Plan, result: Path) -> None:
    django.setup()
    from benchmarks import limits, site

    with site.made():
        limits.make_table()
        Session(plan, result).measure()


class Session:
    """The measurements of one database, written down after each."""

    def __init__(self, plan: Plan, result: Path) -> None:
        from benchmarks import figures

        self._plan = plan
        self._file = result
        self._all = figures.FIGURES
        self._against_history = figures.AGAINST_HISTORY
        self.results: Results = {
            "samples": defaultdict(list),
            "concurrency": defaultdict(lambda: defaultdict(list)),
            "history": defaultdict(lambda: defaultdict(list)),
        }

    def measure(self) -> None:
        wanted = [figure for figure in self._of_database() if self._plan.wants(figure.name)]
        self._repeat(wanted, self._plan.repeats, self.results["samples"], "")
        self._over_concurrency()
        self._over_history(wanted)

    def _of_database(self) -> list[Any]:
        from django.db import connection

        return [figure for figure in self._all if connection.vendor in figure.databases]

    def _repeat(self, wanted: Sequence[Any], repeats: int, samples: Any, where: str) -> None:
        from benchmarks import processes, site

        for number in range(repeats):
            for figure in wanted:
                if figure.name == "idle" and (number or not processes.is_measurable()):
                    continue
                if not where:
                    site.empty()
                for name, values in figure.measure(self._plan).items():
                    samples[name] += values
                    self._tell(f"{name}{where}", values)

    def _over_concurrency(self) -> None:
        from benchmarks import figures, jobs, site

        curves = {
            "runs.one": (jobs.empty, self._plan.runs, 1),
            "steps.one": (jobs.steps, self._plan.step_runs, jobs.STEPS),
        }
        for name, (job, number, factor) in curves.items():
            if not self._plan.wants(f"concurrency.{name}"):
                continue
            for _ in range(self._plan.curve_repeats):
                for slots in self._plan.concurrencies:
                    site.empty()
                    rate = factor * figures.executed(job, number, slots)
                    self.results["concurrency"][name][slots].append(rate)
                    self._tell(f"{name} with {slots} slots", [rate])

    def _over_history(self, wanted: Sequence[Any]) -> None:
        from benchmarks import site

        again = [figure for figure in wanted if figure.name in self._against_history]
        if not (self._plan.history and again and self._plan.wants("history")):
            return
        site.empty()
        filled = 0
        for size in (self._plan.history // 10, self._plan.history):
            site.fill(filled, size)
            filled = size
            samples = self.results["history"][size]
            self._repeat(again, self._plan.repeats, samples, f" with {size:,} finished runs")

    def _tell(self, name: str, values: Sequence[float]) -> None:
        texts = ", ".join(f"{value:,.1f}" for value in values)
        print(f"  {name}: {texts}", file=sys.stderr, flush=True)
        self._file.write_text(json.dumps(self.results))


if __name__ == "__main__":
    main(Plan.from_json(json.loads(sys.argv[1])), Path(sys.argv[2]))
