"""A worker that drains leaves when nothing is left, not when nothing was left a moment ago."""

import threading
from typing import Any

import pytest

from django_durably import StepContext, get_job, job
from django_durably.models import Run
from django_durably.runtime.worker import Options, Worker
from django_durably.storage.changes import Claimed
from django_durably.storage.claims import Claims
from tests.process.conftest import StartWorker
from tests.support.notebook import Notebook
from tests.support.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

TIMES = 5
found_nothing = threading.Event()


class LooksBetween(Worker):
    """Looks whether it is done just after a run was settled, before it claims again.

    Hints come too late to help.
    """

    looks = 0

    def accept(self, claims: Claims, asked_at: float) -> None:
        if claims.runs:
            found_nothing.clear()
        super().accept(claims, asked_at)
        if not claims.runs:
            found_nothing.set()

    def _on_hint(self, topic: str) -> None:
        pass

    def _is_done(self) -> bool:
        self.looks += 1
        return super()._is_done()

    def _settled(self, run: Claimed) -> None:
        super()._settled(run)
        seen = self.looks  # of which the last may have begun before
        eventually(lambda: self.looks >= seen + 2 or self._stopping.is_set())


@job("drain-keyed")
def drain_keyed(step: StepContext, input: int) -> None:
    """Triggers a run that waits for its own key, and ends once a claim has found nothing free."""
    if input:
        drain_keyed.trigger(input - 1, concurrency_key="key")
    assert found_nothing.wait(20)


@job("drain-trigger")
def drain_trigger(step: StepContext, input: int) -> None:
    """Triggers another run as its last act, once a claim has found nothing."""
    assert found_nothing.wait(20)
    if input:
        drain_trigger.trigger(input - 1)


@pytest.fixture(autouse=True)
def _short_polls(settings: Any) -> None:
    settings.DURABLY = {"LEASE_SECONDS": 120, "LEASE_RENEW_SECONDS": 1, "POLL_SECONDS": 0.05}


def test_a_run_that_waits_for_the_key_of_the_last_is_executed() -> None:
    drain_keyed.trigger(TIMES, concurrency_key="key")
    _drain("drain-keyed")
    assert _statuses() == ["completed"] * (TIMES + 1)


def test_a_run_that_is_triggered_by_the_end_of_the_last_is_executed() -> None:
    drain_trigger.trigger(TIMES)
    _drain("drain-trigger")
    assert _statuses() == ["completed"] * (TIMES + 1)


@pytest.mark.process
@pytest.mark.parametrize("key", ["key", None])
def test_a_process_drains_a_chain_of_runs(
    key: str | None, start_worker: StartWorker, notebook: Notebook
) -> None:
    input = {"directory": str(notebook), "key": key, "left": 30}
    get_job("trigger-the-next").trigger(input, concurrency_key=key)

    assert start_worker("--drain", "--concurrency", "2").wait(60) == 0
    assert _statuses() == ["completed"] * 31


def _drain(job_name: str) -> None:
    found_nothing.clear()
    worker = LooksBetween(Options(concurrency=2, jobs=[job_name], drain=True))
    assert worker.run()


def _statuses() -> list[str]:
    return list(Run.objects.values_list("status", flat=True))
