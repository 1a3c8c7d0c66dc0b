"""The words for why a run is not executing."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from django_durably import Run, clock, get_job
from django_durably.models import Worker
from django_durably.operations.why import why
from django_durably.storage import claims
from django_durably.storage.changes import ClaimRequest
from django_durably.storage.queries import RunFilter
from django_durably.storage.workers import WorkerInfo, beat, register
from django_durably.testing import execute_run

pytestmark = pytest.mark.django_db

WORKER = "worker-1"


def start_worker(jobs: Sequence[str] = ("echo",), concurrency: int = 2) -> None:
    register(WorkerInfo(WORKER, "host", 1, concurrency, jobs))


def waiting(**options: Any) -> Run:
    return get_job("echo").trigger({}, **options)


def test_no_worker_is_alive() -> None:
    run = waiting()
    assert why(run) == ["No worker is alive."]
    start_worker()
    assert why(run) == []
    Worker.objects.update(heartbeat_at=clock.now() - timedelta(hours=1))
    assert why(run) == ["No worker is alive."]


def test_no_worker_takes_its_job() -> None:
    start_worker(jobs=["fail"])
    assert why(waiting()) == ["No live worker takes the job echo."]


def test_all_slots_are_busy() -> None:
    start_worker(concurrency=2)
    beat(WORKER, 1)
    run = waiting()
    assert why(run) == []
    beat(WORKER, 2)
    assert why(run) == ["All slots of the workers that take its job are busy."]


def test_its_key_is_held() -> None:
    start_worker()
    holder = waiting(concurrency_key="k")
    assert claims.claim_one(holder.pk, WORKER) is not None
    run = waiting(concurrency_key="k")
    assert why(run) == [f"Its concurrency key is held by the run {holder.pk} (echo)."]
    others = RunFilter().with_labels(org="1")
    assert why(run, others) == ["Its concurrency key is held by another run."]


def test_others_are_older() -> None:
    start_worker()
    waiting()
    run = waiting()
    assert why(run) == ["1 older run of its job is waiting."]
    assert why(waiting()) == ["2 older runs of its job are waiting."]
    assert why(run, RunFilter().with_labels(org="1")) == []


def test_its_lease_has_expired() -> None:
    run = waiting()
    claims.claim(ClaimRequest(WORKER, ("echo",), 1))
    run.refresh_from_db()
    assert why(run) == []
    with clock.shift(timedelta(hours=1)):
        (reason,) = why(run)
    assert reason == "Its worker has not been heard of in time; another one will take it over."


def test_a_run_that_has_ended_needs_no_reason() -> None:
    assert why(execute_run(waiting())) == []
