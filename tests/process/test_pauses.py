"""A worker that was stopped for longer than its lease, and then wakes up."""

import sqlite3
from contextlib import closing

import pytest
from django.db import OperationalError, connection, transaction

from django_durably import get_job
from django_durably.models import Event, Run, Step
from tests.process.conftest import StartWorker
from tests.support.notebook import Notebook
from tests.support.processes import WorkerProcess
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("job", ["gated-steps", "gated-async-steps"])
def test_a_worker_that_wakes_up_too_late_changes_nothing(
    job: str, start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("0")
    sleeper = start_worker().wait_until_ready()
    run = get_job(job).trigger({"directory": str(notebook), "steps": 3})
    gate.wait_until_reached()
    _pause_outside_of_a_write(sleeper, run)
    other = start_worker().wait_until_ready()
    eventually(lambda: ("0", "2") in _began(notebook), 20, "nobody took the run over")
    gate.open()
    eventually(lambda: _reload(run).status == "completed", 20)
    before = _everything(run)
    other.terminate()
    assert other.wait() == 0

    sleeper.resume()
    another = get_job(job).trigger({"directory": str(notebook), "steps": 0})
    eventually(lambda: _reload(another).status == "completed", 20, "the sleeper works no more")

    assert _everything(run) == before
    assert _began(notebook) == [("0", "1"), ("0", "2"), ("1", "2"), ("2", "2")]
    assert _reload(run).crashes == 0
    sleeper.terminate()
    assert sleeper.wait() == 0
    assert _everything(run) == before


def _pause_outside_of_a_write(worker: WorkerProcess, run: Run) -> None:
    """A process that stands in the middle of a write keeps its locks: then nobody takes over."""

    def pause() -> bool:
        worker.pause()
        if is_free := _can_be_locked(run):
            return is_free
        worker.resume()
        return False

    eventually(pause)


def _can_be_locked(run: Run) -> bool:
    try:
        if connection.vendor == "sqlite":
            with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0.2)) as link:
                link.execute("BEGIN IMMEDIATE")
        else:
            with transaction.atomic():
                Run.objects.select_for_update(nowait=True).get(pk=run.pk)
    except (OperationalError, sqlite3.OperationalError):
        return False
    return True


def _began(notebook: Notebook) -> list[tuple[str, ...]]:
    """Number and attempt of each execution of a step."""
    return [note.details for note in notebook.notes("began")]


def _reload(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def _everything(run: Run) -> list[object]:
    """All that the database knows of a run."""
    return [
        Run.objects.filter(pk=run.pk).values().get(),
        list(Step.objects.filter(run=run).values()),
        list(Event.objects.filter(run_id=run.pk).values()),
    ]
