"""`run.cancel()` while a worker executes the run."""

import time

import pytest

from django_durably import get_job
from django_durably.models import Event, Run
from tests.process.conftest import StartWorker
from tests.support.notebook import Notebook
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

# The heartbeat alone would tell of it only after a minute.
SLOW_HEART = {"LEASE_SECONDS": 120, "LEASE_RENEW_SECONDS": 60, "POLL_SECONDS": 0.5}
NOTICED_SECONDS = 2


def test_a_def_step_sees_the_signal(start_worker: StartWorker, notebook: Notebook) -> None:
    start_worker(settings=SLOW_HEART)
    cancelled_at, run = _cancel("wait-for-signal", notebook)

    eventually(lambda: notebook.notes("signal"))
    (noticed,) = notebook.notes("signal")
    assert noticed.details == ("cancelled", "True")
    assert noticed.at - cancelled_at < NOTICED_SECONDS * 1e9
    _check_step_was_cancelled(run)
    assert not notebook.notes("after")


def test_an_async_step_is_cancelled(start_worker: StartWorker, notebook: Notebook) -> None:
    start_worker(settings=SLOW_HEART)
    cancelled_at, run = _cancel("wait-for-ever", notebook)

    eventually(lambda: notebook.notes("ended"))
    (ended,) = notebook.notes("ended")
    assert ended.at - cancelled_at < NOTICED_SECONDS * 1e9
    _check_step_was_cancelled(run)


def test_a_cancellation_that_a_body_swallows_is_raised_again(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    start_worker(settings=SLOW_HEART)
    _, run = _cancel("swallow-cancellation", notebook)

    eventually(lambda: notebook.notes("again"))
    assert notebook.details("swallowed") == ["CancelledError"]
    assert notebook.details("again") == ["CancelledError"]
    assert not notebook.notes("after")
    _check_step_was_cancelled(run)


def test_a_cancelled_run_frees_its_slot_and_its_key(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    start_worker("--concurrency", "1", settings=SLOW_HEART)
    _cancel("wait-for-ever", notebook, concurrency_key="key")
    next_ = get_job("keyed").trigger({"directory": str(notebook)}, concurrency_key="key")

    eventually(lambda: Run.objects.get(pk=next_.pk).status == "completed")


def _cancel(job: str, notebook: Notebook, concurrency_key: str | None = None) -> tuple[int, Run]:
    """Cancel a run in the middle of its step; when that was, and the run."""
    run = get_job(job).trigger({"directory": str(notebook)}, concurrency_key=concurrency_key)
    eventually(lambda: notebook.notes("waiting"), 40)
    started = Event.objects.filter(run_id=run.pk, type="step:start")
    eventually(started.exists)
    run.cancel()
    return time.monotonic_ns(), run


def _check_step_was_cancelled(run: Run) -> None:
    eventually(lambda: Event.objects.filter(run_id=run.pk, type="step:cancel").exists())
    (step,) = run.steps.all()
    assert (step.name, step.status, step.output) == ("long", "cancelled", None)
    run.refresh_from_db()
    assert (run.status, run.output, run.error, run.lease_owner) == ("cancelled", None, None, None)
    told = list(Event.objects.filter(run_id=run.pk).values_list("type", flat=True))
    assert told == ["run:trigger", "run:leased", "step:start", "run:cancel", "step:cancel"]
