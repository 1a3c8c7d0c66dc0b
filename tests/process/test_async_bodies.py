"""Async bodies share one event loop and some threads: what one does to them harms no other."""

import pytest
from django.db import transaction

from django_durably import get_job
from django_durably.models import Run
from tests.process.conftest import StartWorker
from tests.process.test_database_failures import SERVERS_ONLY, _break_connections
from tests.support.notebook import Notebook
from tests.support.processes import WorkerProcess
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

# Nothing here may be explained by a lease that ran out.
LONG = {"LEASE_SECONDS": 120, "LEASE_RENEW_SECONDS": 1}


def test_an_exit_in_a_child_task_does_not_end_the_event_loop(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    worker = start_worker(settings=LONG)
    exits = _ended(_trigger("exit-in-a-child-task", notebook))

    assert exits.status == "failed"
    assert "bad arguments" in (exits.error or "")
    _check_async_bodies_execute(worker, notebook)


@SERVERS_ONLY
def test_the_connection_of_the_async_orm_comes_back_after_it_broke(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    worker = start_worker(settings=LONG)
    job = get_job("count-with-the-async-orm")
    assert _ended(job.trigger()).status == "completed"
    assert _break_connections() > 0

    # Who meets the broken connection may fail of it; nobody after.
    _, *later = [_ended(job.trigger()) for _ in range(4)]
    assert [(run.status, run.error) for run in later] == [("completed", None)] * 3
    assert worker.is_running


def test_a_thread_of_the_loop_that_blocks_does_not_keep_the_worker(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("thread")
    worker = start_worker("--shutdown-timeout", "1", settings=LONG)
    run = _trigger("block-a-thread-of-the-loop", notebook)
    gate.wait_until_reached(40)
    run.cancel()
    eventually(lambda: notebook.notes("ended"))
    worker.terminate()

    assert worker.wait(10) in (0, 1)
    gate.close()


def test_a_timeout_while_the_checkpoint_is_committed_does_not_execute_the_step_again(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("before")
    start_worker(settings=LONG)
    run = _trigger("time-out-in-a-commit", notebook)
    gate.wait_until_reached(40)
    with transaction.atomic():
        # On SQLite the transaction itself is the lock, of all rows.
        Run.objects.select_for_update().get(pk=run.pk)
        gate.open()
        eventually(lambda: notebook.notes("time is up"))
    run = _ended(run)

    (receipt,) = notebook.details("charged")
    assert notebook.notes("timed out")
    assert (run.status, run.error, run.output) == ("completed", None, receipt)
    rows = run.steps.values_list("name", "attempt", "status", "output")
    assert list(rows) == [("charge", 1, "completed", receipt)]
    assert (run.completed_step_count, run.lease_generation) == (1, 1)


def test_a_branch_that_outlives_its_run_starts_no_step(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("branch")
    worker = start_worker(settings=LONG)
    run = _trigger("one-branch-fails", notebook)
    gate.wait_until_reached(40)
    assert _ended(run).status == "failed"
    gate.open()

    eventually(lambda: notebook.notes("refused") or notebook.notes("executed"))
    assert notebook.details("refused") == ["LeaseLostError"]
    assert not notebook.notes("executed")
    _check_async_bodies_execute(worker, notebook)
    assert not run.steps.filter(name="late").exists()


def test_cancelled_runs_that_block_threads_do_not_keep_later_ones_from_starting(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("0")
    worker = start_worker("--concurrency", "2", settings=LONG)
    blocked = [_trigger("gated-async-steps", notebook, steps=1) for _ in range(2)]
    eventually(lambda: len(notebook.notes("began")) == 2, 40)
    for run in blocked:
        run.cancel()
    eventually(lambda: all(run.steps.filter(status="cancelled").exists() for run in blocked))

    _check_async_bodies_execute(worker, notebook)
    assert not notebook.notes("ended"), "they did not block"
    gate.close()


def _check_async_bodies_execute(worker: WorkerProcess, notebook: Notebook) -> None:
    """More of them than there are slots, in another place, where no gate holds them up."""
    elsewhere = Notebook(notebook.directory / "elsewhere")
    elsewhere.directory.mkdir()
    runs = [_trigger("gated-async-steps", elsewhere, steps=2) for _ in range(3)]
    ended = {(run.status, run.lease_generation) for run in map(_ended, runs)}
    assert ended == {("completed", 1)}, worker.log
    assert worker.is_running


def _trigger(job: str, notebook: Notebook, **input: object) -> Run:
    return get_job(job).trigger({"directory": str(notebook), **input})


def _ended(run: Run) -> Run:
    """The run as it is when it has ended."""
    eventually(lambda: Run.objects.get(pk=run.pk).is_terminal, 40, "it did not end")
    return Run.objects.get(pk=run.pk)
