"""Runs of one concurrency key when their worker dies."""

import pytest
from django.db import connection

from django_durably import get_job
from django_durably.models import Run
from tests.process.conftest import StartWorker
from tests.support.notebook import Notebook
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def test_a_newer_run_of_the_key_of_a_dead_worker_waits_for_its_turn(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    gate = notebook.gate("key")
    victim = start_worker().wait_until_ready()
    older = _trigger(notebook)
    gate.wait_until_reached()
    newer = _trigger(notebook)
    victim.kill()
    start_worker()
    gate.open()

    eventually(lambda: not Run.objects.active().exists(), 40, "runs are left")

    for run in (older, newer):
        run.refresh_from_db()
        assert (run.status, run.error) == ("completed", None)
    bodies = [(note.what, note.details[0]) for note in notebook.notes()]
    assert bodies[0] == ("begin", str(older.pk)), "of the worker that died"
    survivors = [run for what, run in bodies[1:] if what == "begin"]
    assert bodies[1:] == [(what, run) for run in survivors for what in ("begin", "end")]
    assert set(survivors) == {str(older.pk), str(newer.pk)}


def _trigger(notebook: Notebook, job: str = "keyed") -> Run:
    return get_job(job).trigger({"directory": str(notebook), "key": "key"}, concurrency_key="key")


@pytest.mark.skipif(connection.vendor == "mysql", reason="finds it at its next poll")
def test_a_run_that_waits_for_its_key_starts_when_the_key_is_freed(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    """Not at the next poll: the worker that ends a run looks for those that waited for its key."""
    gate = notebook.gate("key")
    for job in ("keyed", "keyed-too"):
        _trigger(notebook, job)
    start_worker(settings={"POLL_SECONDS": 60, "LEASE_SECONDS": 120})
    gate.wait_until_reached()
    gate.open()

    eventually(lambda: len(notebook.notes("end")) == 2, 5, "the second run was not started")
