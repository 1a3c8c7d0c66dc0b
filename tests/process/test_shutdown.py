"""A worker that is asked to leave: what it hands back, and how soon it is gone."""

import signal

import pytest
from django.db import connection, transaction

from django_durably import get_job
from django_durably.models import Run, Worker
from tests.process.conftest import StartWorker
from tests.support.notebook import Notebook
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

# Nothing here may be explained by a lease that ran out.
LONG = {"LEASE_SECONDS": 120, "LEASE_RENEW_SECONDS": 1}


@pytest.mark.parametrize(
    ("job", "number"),
    [
        ("gated-steps", signal.SIGTERM),
        ("gated-steps", signal.SIGINT),
        ("gated-async-steps", signal.SIGTERM),
    ],
)
def test_another_worker_goes_on_from_the_next_step(
    job: str, number: signal.Signals, start_worker: StartWorker, notebook: Notebook
) -> None:
    gate, last = notebook.gate("2"), notebook.gate("5")
    leaving = start_worker(settings=LONG).wait_until_ready()
    run = get_job(job).trigger({"directory": str(notebook), "steps": 6})
    gate.wait_until_reached()
    other = start_worker(settings=LONG).wait_until_ready()
    leaving.send(number)
    gate.open()

    assert leaving.wait() == 0
    assert not leaving.ids, "it is still registered"
    last.wait_until_reached()
    assert other.holds(run)
    last.open()
    eventually(lambda: _reload(run).status == "completed")
    began = [note.details for note in notebook.notes("began")]
    assert [step for step, _ in began] == [str(step) for step in range(6)], "once each"
    # The signal may come a moment after the gate was opened, when the next step has begun.
    assert began[:3] == [("0", "1"), ("1", "1"), ("2", "1")]
    assert began[4:] == [("4", "2"), ("5", "2")]
    assert _reload(run).crashes == 0


@pytest.mark.parametrize("job", ["gated-steps", "gated-async-steps"])
def test_a_step_that_blocks_does_not_keep_the_worker(
    job: str, start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("0")
    worker = start_worker("--shutdown-timeout", "0.5", settings=LONG).wait_until_ready()
    run = get_job(job).trigger({"directory": str(notebook), "steps": 2})
    gate.wait_until_reached()
    worker.terminate()

    assert worker.wait(10) == 1
    left = _reload(run)
    assert (left.status, left.lease_owner, left.crashes) == ("pending", None, 0)
    gate.open()
    assert start_worker("--drain", settings=LONG).wait() == 0
    assert _reload(run).status == "completed"
    assert [note.details for note in notebook.notes("ended")] == [("0", "2"), ("1", "2")]


def test_a_second_signal_ends_the_worker_at_once(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("signal")
    worker = start_worker(settings=LONG).wait_until_ready()
    run = get_job("wait-for-signal").trigger({"directory": str(notebook)})
    eventually(lambda: notebook.notes("waiting"), 20)
    worker.terminate()
    gate.wait_until_reached()
    assert notebook.notes("signal")[0].details == ("shutdown", "False")
    worker.terminate()

    assert worker.wait(5) == 128 + signal.SIGTERM
    assert _reload(run).status == "leased", "left to expire"


def test_an_idle_worker_leaves_at_once(start_worker: StartWorker) -> None:
    worker = start_worker(settings=LONG).wait_until_ready()
    worker.terminate()
    assert worker.wait(5) == 0
    assert not Worker.objects.exists()


def test_a_cancelled_body_that_still_blocks_a_thread_does_not_keep_the_worker(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("0")
    worker = start_worker("--shutdown-timeout", "1", settings=LONG).wait_until_ready()
    run = get_job("gated-async-steps").trigger({"directory": str(notebook), "steps": 1})
    gate.wait_until_reached()
    run.cancel()
    eventually(lambda: run.steps.filter(status="cancelled").exists(), 10)
    worker.terminate()

    assert worker.wait(10) in (0, 1)
    gate.close()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no single row")
def test_a_row_that_somebody_has_locked_does_not_keep_the_worker(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("0")
    worker = start_worker("--shutdown-timeout", "1", settings=LONG).wait_until_ready()
    run = get_job("gated-steps").trigger({"directory": str(notebook), "steps": 1})
    gate.wait_until_reached()
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=run.pk)
        gate.open()
        worker.terminate()
        assert worker.wait(15) == 1


def test_runs_that_are_claimed_while_the_worker_leaves_are_handed_back(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    runs = get_job("keyed").batch_trigger([{"directory": str(notebook), "steps": 20}] * 300)
    worker = start_worker("--concurrency", "2", settings=LONG).wait_until_ready()
    eventually(lambda: len(notebook.notes("end")) > 5, 20)
    worker.terminate()

    assert worker.wait() == 0
    statuses = set(Run.objects.values_list("status", flat=True))
    assert statuses <= {"pending", "completed"}
    assert not Run.objects.filter(crashes__gt=0).exists()
    assert len(runs) == Run.objects.count()


def _reload(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)
