"""`run_worker --processes`: the parent of several workers."""

import os
import signal

import pytest

from django_durably import get_job
from django_durably.models import Run
from tests.process.conftest import StartWorker
from tests.support.notebook import Notebook
from tests.support.processes import WorkerProcess, children, is_alive
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

LONG = {"LEASE_SECONDS": 120, "LEASE_RENEW_SECONDS": 1}


def test_a_dead_child_is_replaced(start_worker: StartWorker, notebook: Notebook) -> None:
    supervisor = start_worker("--processes", "2").wait_until_ready(workers=2)
    before = set(children(supervisor.pid))
    victim = min(before)
    os.kill(victim, signal.SIGKILL)

    eventually(lambda: len(_living(supervisor) - {victim}) == 2, 20, "it was not replaced")
    supervisor.terminate()
    assert supervisor.wait() == 0, "the death of a child that was replaced is no failure"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_children_gracefully(
    number: signal.Signals, start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("1")
    supervisor = start_worker("--processes", "2", settings=LONG).wait_until_ready(workers=2)
    run = get_job("gated-steps").trigger({"directory": str(notebook), "steps": 3})
    gate.wait_until_reached()
    workers = children(supervisor.pid)
    supervisor.send(number)
    eventually(lambda: len(_living(supervisor)) == 1, 10, "the idle child did not leave")
    gate.open()

    assert supervisor.wait() == 0
    assert not any(map(is_alive, workers))
    run.refresh_from_db()
    assert (run.status, run.completed_step_count, run.crashes) == ("pending", 2, 0)


def test_a_second_signal_stops_all_children_at_once(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("signal")
    supervisor = start_worker("--processes", "2", settings=LONG).wait_until_ready(workers=2)
    get_job("wait-for-signal").trigger({"directory": str(notebook)})
    eventually(lambda: notebook.notes("waiting"), 20)
    supervisor.terminate()
    gate.wait_until_reached()
    supervisor.terminate()

    assert supervisor.wait(10) == 128 + signal.SIGTERM


def test_children_end_when_their_parent_is_killed(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("1")
    supervisor = start_worker("--processes", "2", settings=LONG).wait_until_ready(workers=2)
    run = get_job("gated-steps").trigger({"directory": str(notebook), "steps": 3})
    gate.wait_until_reached()
    orphans = children(supervisor.pid)
    supervisor.kill()
    eventually(lambda: len(list(filter(is_alive, orphans))) == 1, 10, "the idle child stayed")
    gate.open()

    eventually(lambda: not any(map(is_alive, orphans)), 10, "a child stayed")
    run.refresh_from_db()
    # The busy child may notice a step later than the idle one; it never leaves a lease behind.
    assert (run.status, run.crashes) in [("pending", 0), ("completed", 0)]


def test_it_ends_with_its_children(start_worker: StartWorker, notebook: Notebook) -> None:
    inputs = [{"directory": str(notebook)}] * 10
    get_job("keyed").batch_trigger(inputs)
    supervisor = start_worker("--processes", "2", "--drain")

    assert supervisor.wait(40) == 0
    assert set(Run.objects.values_list("status", flat=True)) == {"completed"}


def test_a_run_that_kills_its_workers_fails_and_the_others_go_on(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    settings = {"LEASE_SECONDS": 1.5, "LEASE_RENEW_SECONDS": 0.3, "MAX_CRASHES": 2}
    supervisor = start_worker("--processes", "2", settings=settings).wait_until_ready(workers=2)
    deadly = get_job("die").trigger({"directory": str(notebook)})
    eventually(lambda: _reload(deadly).is_terminal, 40, "it goes on killing")

    ended = _reload(deadly)
    assert ended.status == "failed"
    assert ended.error is not None
    assert "died 2 times" in ended.error
    assert len(notebook.notes("dying")) == 2
    harmless = get_job("keyed").trigger({"directory": str(notebook)})
    eventually(lambda: _reload(harmless).status == "completed", 20, "no worker is left")
    supervisor.terminate()
    assert supervisor.wait() == 0


def _living(supervisor: WorkerProcess) -> set[int]:
    return set(filter(is_alive, children(supervisor.pid)))


def _reload(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)
