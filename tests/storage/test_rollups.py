"""Rollups: counted anew until they are final, by however many workers."""

from datetime import timedelta

import pytest

from django_durably import Run, clock
from django_durably.models import Rollup
from django_durably.models.rollup import ALL_JOBS, MINUTE, QUARTER
from django_durably.storage import histograms, rollups
from django_durably.testing import run_job
from tests.testapp.jobs import add_in_steps, echo, fail

pytestmark = pytest.mark.django_db

ALWAYS = timedelta(0)


def kept(seconds: int = MINUTE, job: str = ALL_JOBS) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in Rollup.objects.filter(seconds=seconds, job_name=job):
        counts[row.status] = counts.get(row.status, 0) + row.count
    return counts


def test_counts_what_ended_by_job_and_status() -> None:
    run_job(fail, "x")
    run_job(add_in_steps, [1])
    run_job(add_in_steps, [1])
    echo.trigger({}).cancel()
    echo.trigger({})
    rollups.keep(ALWAYS)
    expected = {"completed": 2, "failed": 1, "cancelled": 1}
    assert kept(MINUTE) == kept(QUARTER) == expected
    assert kept(MINUTE, "add-in-steps") == {"completed": 2}


def test_counting_twice_changes_nothing() -> None:
    run_job(fail, "x")
    rollups.keep(ALWAYS)
    rollups.keep(ALWAYS)
    assert kept(MINUTE) == kept(QUARTER) == {"failed": 1}


def test_what_is_committed_late_is_counted() -> None:
    first = run_job(fail, "x")
    rollups.keep(ALWAYS)
    late = run_job(fail, "x")
    Run.objects.filter(pk=late.pk).update(completed_at=first.completed_at)
    rollups.keep(ALWAYS)
    assert kept() == {"failed": 2}


def test_another_worker_may_just_have_done_it() -> None:
    run_job(fail, "x")
    rollups.keep(ALWAYS)
    run_job(fail, "x")
    rollups.keep(timedelta(seconds=60))
    assert kept() == {"failed": 1}


def test_outlives_its_runs() -> None:
    with clock.shift(timedelta(hours=-1)):
        run = run_job(fail, "x")
        rollups.keep(ALWAYS)
    run.delete()
    rollups.keep(ALWAYS)
    assert kept() == {"failed": 1}


def test_catches_up_hour_by_hour_over_days_without_runs() -> None:
    for days in (6, 3, 0):
        with clock.shift(timedelta(days=-days)):
            run_job(fail, "x")
    rounds = 1
    while rollups.keep(ALWAYS):
        rounds += 1
    assert kept() == {"failed": 3}
    assert rounds <= 4


def test_forgets_minutes_before_quarters() -> None:
    with clock.shift(timedelta(days=-3)):
        run_job(fail, "x")
        rollups.keep(ALWAYS)
    rollups.forget()
    assert (kept(MINUTE), kept(QUARTER)) == ({}, {"failed": 1})


def test_durations_fall_into_their_buckets() -> None:
    run = run_job(fail, "x")
    start = run.created_at + timedelta(seconds=4)
    Run.objects.filter(pk=run.pk).update(started_at=start, completed_at=start + timedelta(hours=2))
    with clock.shift(timedelta(hours=3)):
        rollups.keep(ALWAYS)
    row = Rollup.objects.get(seconds=MINUTE, job_name="fail")
    assert row.total_duration == pytest.approx(7200, rel=0.001)
    assert histograms.percentile(row.durations, 0.5) == pytest.approx(7200, rel=0.25)
    assert histograms.percentile(row.waits, 0.95) == pytest.approx(4, rel=0.25)


def test_percentiles_of_nothing() -> None:
    assert histograms.percentile({}, 0.5) is None
