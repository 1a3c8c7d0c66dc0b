"""Bodies and rows that are wrong: each run says what, and the worker lives on."""

from collections.abc import Iterator

import pytest
from django.db import connection

from django_durably import get_job
from django_durably.models import Run
from tests.process.conftest import StartWorker
from tests.support.notebook import Notebook
from tests.support.processes import WorkerProcess
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

MESSAGES = {
    "output": "Invalid output: ",
    "step-output": "The result of step 'makes-a-set'",
    "step-name": "A step's name must have 1 to 255 characters",
    "stop-iteration": "",
    "encoding": "no such file: caf?",
}


def test_a_misbehaving_body_fails_its_run_only(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    worker = start_worker()
    gate = notebook.gate("1")
    bystander = get_job("gated-steps").trigger({"directory": str(notebook), "steps": 3})
    runs = {
        kind: get_job("misbehave").trigger({"directory": str(notebook), "kind": kind})
        for kind in MESSAGES
    }
    asynchronous = get_job("misbehave-async").trigger({"directory": str(notebook), "kind": ""})
    eventually(lambda: Run.objects.active().count() == 1, 40, "runs are left")

    for kind, run in runs.items():
        run.refresh_from_db()
        assert run.status == "failed", kind
        assert (run.error or "").startswith(MESSAGES[kind]), run.error
    asynchronous.refresh_from_db()
    assert asynchronous.status == "failed"
    gate.open()
    _check_it_lives_on(worker, bystander, generation=1)


def test_a_result_that_is_larger_than_the_database_takes(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    """MariaDB answers it with a broken connection; the others take this one."""
    worker = start_worker()
    run = get_job("misbehave").trigger({"directory": str(notebook), "kind": "large"})
    eventually(lambda: not Run.objects.active().exists(), 40, "it is tried for ever")

    run.refresh_from_db()
    if connection.vendor == "mysql":
        assert run.status == "failed"
        assert "refused" in (run.error or "")
    else:
        assert (run.status, run.output) == ("completed", 20_000_000)
    _check_it_lives_on(worker, _harmless(notebook), generation=1)


def test_a_run_of_an_unknown_job_stays_pending(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    unknown = _harmless(notebook)
    Run.objects.filter(pk=unknown.pk).update(job_name="of-a-newer-release")
    worker = start_worker()
    _check_it_lives_on(worker, _harmless(notebook), generation=1)

    unknown.refresh_from_db()
    assert (unknown.status, unknown.lease_generation) == ("pending", 0)


def test_an_input_that_todays_schema_refuses(start_worker: StartWorker, notebook: Notebook) -> None:
    old = _harmless(notebook)
    Run.objects.filter(pk=old.pk).update(input={"directory": 1})
    worker = start_worker()
    _check_it_lives_on(worker, _harmless(notebook), generation=1)

    old.refresh_from_db()
    assert old.status == "failed"
    assert (old.error or "").startswith("Invalid input: ")
    assert "directory" in (old.error or "")


@pytest.fixture
def poison(transactional_db: None) -> Iterator[None]:
    """Makes the database itself refuse a step of this name."""
    make, drop = _POISON[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(make)
    yield
    with connection.cursor() as cursor:
        cursor.execute(drop)


_CONSTRAINT = (
    "ALTER TABLE durably_step ADD CONSTRAINT no_poison CHECK (name <> 'poison')",
    "ALTER TABLE durably_step DROP CONSTRAINT no_poison",
)
_POISON = {
    "postgresql": _CONSTRAINT,
    "mysql": _CONSTRAINT,
    "sqlite": (
        """CREATE TRIGGER no_poison BEFORE INSERT ON durably_step WHEN NEW.name = 'poison'
        BEGIN SELECT RAISE(ABORT, 'no poison'); END""",
        "DROP TRIGGER no_poison",
    ),
}


def test_a_change_that_the_database_refuses_fails_alone(
    poison: None, start_worker: StartWorker, notebook: Notebook
) -> None:
    inputs = [{"directory": str(notebook), "steps": 50}] * 8
    others = get_job("gated-steps").batch_trigger(inputs)
    poisoned = get_job("misbehave").batch_trigger(
        [{"directory": str(notebook), "kind": "poison"}] * 4
    )
    worker = start_worker("--concurrency", "12")
    eventually(lambda: not Run.objects.active().exists(), 40, "runs are left")

    for run in poisoned:
        run.refresh_from_db()
        assert run.status == "failed"
        assert "no_poison" in (run.error or "") or "no poison" in (run.error or "")
    for run in others:
        run.refresh_from_db()
        assert (run.status, run.lease_generation, run.steps.count()) == ("completed", 1, 50)
    assert len(notebook.notes("ended")) == 8 * 50, "a step was executed twice"
    assert worker.is_running


def test_a_worker_whose_journal_has_failed_ends(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    """It could store nothing more, and must not hold its leases for ever."""
    worker = start_worker()
    get_job("misbehave").trigger({"directory": str(notebook), "kind": "journal"})

    assert worker.wait() == 1
    assert "The journal of the worker has failed" in worker.log


def _harmless(notebook: Notebook) -> Run:
    return get_job("keyed").trigger({"directory": str(notebook)})


def _check_it_lives_on(worker: WorkerProcess, run: Run, generation: int) -> None:
    """The run ends well in its first or given execution, and the worker is still there."""
    eventually(lambda: Run.objects.get(pk=run.pk).is_terminal, 40)
    run.refresh_from_db()
    assert (run.status, run.error, run.lease_generation) == ("completed", None, generation)
    assert worker.is_running
