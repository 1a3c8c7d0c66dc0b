"""From samples to the table and the curves."""

from xml.etree import ElementTree

import pytest

from benchmarks import drawing, report
from benchmarks.plan import Plan

RESULT = {
    "version": "15.20",
    "samples": {
        "limit.commits": [2000.0, 1000.0, 3000.0],
        "runs.one": [3000.0, 1000.0, 1500.0],
        "latency": [float(n) for n in range(1, 101)],
        "idle.cpu": [0.25],
        "idle.memory": [4.5],
    },
    "concurrency": {"runs.one": {"1": [400.0], "50": [3600.0, 3400.0], "200": [3100.0]}},
    "history": {"1000": {"runs.one": [1200.0]}},
}


def line(title: str) -> list[str]:
    """The words after this title."""
    lines = report.table("postgresql", RESULT).splitlines()
    return next(each for each in lines if title in each).partition(title)[2].split()


def test_a_rate_is_a_median_with_its_spread_beside_the_limit() -> None:
    assert line("  empty runs/s, one process")[:3] == ["1,500", "1,000-3,000", "0.75"]


def test_latency_is_shown_as_percentiles() -> None:
    assert line("idle worker, p50 / p95")[:3] == ["50.5", "/", "95.0"]


def test_the_best_concurrency_has_the_highest_median() -> None:
    assert line("--concurrency 50")[0] == "3,500"


def test_history_is_compared_with_empty_tables() -> None:
    assert line("    empty runs/s, one process")[2:] == ["0.80", "of", "empty", "tables"]


def test_figures_that_were_not_measured_are_left_out() -> None:
    assert "steps" not in report.table("postgresql", RESULT)


def test_curves_are_drawn_for_what_was_measured() -> None:
    drawn = drawing.pictures({"postgresql": RESULT})

    assert set(drawn) == {"runs-over-concurrency", "runs-over-history", "latency"}
    for picture in drawn.values():
        assert ElementTree.fromstring(picture).get("viewBox") == "0 0 640 320"


@pytest.mark.parametrize(
    ("only", "name", "wanted"),
    [
        ((), "runs.one", True),
        (("runs",), "runs.one", True),
        (("runs.one",), "runs.two", False),
        (("run",), "runs.one", False),
    ],
)
def test_only_names_a_figure_or_its_family(only: tuple[str, ...], name: str, wanted: bool) -> None:
    assert Plan(only=only).wants(name) is wanted


def test_a_plan_travels_as_json() -> None:
    plan = Plan(only=("runs",)).quick()

    assert Plan.from_json(plan.as_json()) == plan
