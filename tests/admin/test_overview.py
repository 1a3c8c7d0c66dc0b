"""The overview: problems in words, charts, ranking, workers."""

from datetime import timedelta

import pytest
from django.test import Client

from django_durably import clock
from django_durably.admin import charts
from django_durably.storage import rollups, workers
from django_durably.storage.workers import WorkerInfo
from django_durably.testing import run_job
from tests.admin.addresses import OVERVIEW
from tests.storage.making import expire, leased
from tests.testapp.jobs import add_in_steps, echo, fail


def alive(*jobs: str) -> None:
    workers.register(WorkerInfo("w1", "host-1", 42, 10, jobs))


def texts(admin: Client) -> list[str]:
    return [problem.text for problem in admin.get(OVERVIEW).context["problems"]]


def test_says_that_all_is_well(admin: Client) -> None:
    alive("echo")
    answer = admin.get(OVERVIEW)
    assert answer.context["problems"] == []
    assert b"All is well" in answer.content
    assert b"host-1" in answer.content


def test_says_that_no_worker_is_alive(admin: Client) -> None:
    assert texts(admin) == ["No worker is alive. Start one: manage.py run_worker."]


def test_says_what_no_worker_takes_and_what_waits_long(admin: Client) -> None:
    with clock.shift(timedelta(minutes=-5)):
        echo.trigger({})
    alive("other")
    assert texts(admin) == [
        "Runs of echo are waiting, and no live worker takes this job.",
        "The oldest claimable run (echo) has waited for 5 min.",
    ]


def test_says_whose_worker_is_silent(admin: Client) -> None:
    alive("a")
    expire(leased())
    assert texts(admin) == ["1 run is held by a worker that has not been heard of in time."]


def test_says_that_many_runs_fail(admin: Client) -> None:
    alive("fail")
    run_job(fail, "x")
    rollups.keep(timedelta(0))
    assert texts(admin) == ["1 of the 1 runs that ended in the last 10 minutes failed."]


@pytest.mark.parametrize("period", charts.PERIODS)
def test_draws_what_ended(admin: Client, period: str) -> None:
    run_job(fail, "x")
    run_job(add_in_steps, [1])
    rollups.keep(timedelta(0))
    context = admin.get(f"{OVERVIEW}?period={period}").context
    throughput, duration, waiting = context["charts"]
    assert throughput.summary == "1 completed, 1 failed, 0 cancelled"
    assert {bar.kind for bar in throughput.bars} == {"completed", "failed"}
    assert "p95" in duration.summary
    assert "p95" in waiting.summary
    assert [(job["job_name"], job["failures"]) for job in context["jobs"]] == [
        ("fail", 1),
        ("add-in-steps", 0),
    ]


def test_is_empty_without_runs(admin: Client) -> None:
    assert b"nothing ended in this time" in admin.get(OVERVIEW).content


@pytest.mark.parametrize(
    ("value", "round_number"), [(0, 1), (1, 1), (7, 10), (11, 20), (0.3, 0.5), (51, 100)]
)
def test_axes_end_at_round_numbers(value: float, round_number: float) -> None:
    assert charts.nice(value) == pytest.approx(round_number)
