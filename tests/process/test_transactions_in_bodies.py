"""A checkpoint is committed by the worker's journal, which a transaction of the body would lock out
or outlive: a step may hold a transaction, but no transaction a step."""

import tempfile

import pytest
from django.db import connection
from django.test import TestCase

from django_durably import get_job
from django_durably.models import Run
from django_durably.testing import run_until_idle
from tests.process.conftest import StartWorker
from tests.support.notebook import Notebook
from tests.support.waiting import eventually

# Nothing here may be explained by a lease that ran out.
LONG = {"LEASE_SECONDS": 120, "LEASE_RENEW_SECONDS": 1}


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_a_step_inside_a_transaction_of_the_body_is_refused_before_it_executes(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    worker = start_worker("--concurrency", "2", settings=LONG)
    refused = _trigger("step-in-a-transaction", notebook)
    eventually(lambda: _reload(refused).is_terminal, 40, "it is stuck")
    assert not notebook.notes("executed")
    _check_refusal(_reload(refused))

    others = [_trigger("transaction-in-a-step", notebook) for _ in range(3)]
    eventually(lambda: not Run.objects.active().exists(), 20, "runs are left")
    assert {_reload(run).status for run in others} == {"completed"}
    assert len(notebook.notes("executed")) == 3
    assert worker.is_running


class InsideATestCase(TestCase):
    """The transaction of the test itself is around everything, and does not count."""

    def setUp(self) -> None:
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.notebook = Notebook(directory)

    def test_steps_execute(self) -> None:
        assert connection.in_atomic_block
        run = _trigger("transaction-in-a-step", self.notebook)
        assert run_until_idle() == 1
        assert (_reload(run).status, _reload(run).error) == ("completed", None)
        assert len(self.notebook.notes("executed")) == 1

    def test_a_step_inside_a_transaction_of_the_body_executes_too(self) -> None:
        """All is on the test's own connection: nothing can wait for itself."""
        run = _trigger("step-in-a-transaction", self.notebook)
        assert run_until_idle() == 1
        assert (_reload(run).status, _reload(run).error) == ("completed", None)
        assert len(self.notebook.notes("executed")) == 1


def _check_refusal(run: Run) -> None:
    assert run.status == "failed"
    assert "transaction inside the step's function" in (run.error or ""), run.error


def _trigger(job: str, notebook: Notebook) -> Run:
    return get_job(job).trigger({"directory": str(notebook)})


def _reload(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)
