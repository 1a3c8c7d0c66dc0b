"""The database breaks connections, restarts, or has rows locked: retries, and no run is lost."""

import random
from collections import Counter

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models.expressions import RawSQL

from django_durably import clock, get_job
from django_durably.models import Run, Step
from tests.process.conftest import StartWorker
from tests.support.notebook import Notebook
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

SERVERS_ONLY = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite is no server")
PATIENT = {"LEASE_SECONDS": 60, "LEASE_RENEW_SECONDS": 0.3}
RUNS, STEPS = 6, 150

# All connections to this database but our own.
_CONNECTIONS = {
    "postgresql": (
        """SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()""",
        "SELECT pg_terminate_backend(%s)",
    ),
    "mysql": (
        """SELECT id FROM information_schema.processlist
        WHERE db = DATABASE() AND id <> CONNECTION_ID()""",
        "KILL CONNECTION %s",
    ),
}


@SERVERS_ONLY
def test_broken_connections_cost_retries_and_no_runs(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    runs = get_job("gated-steps").batch_trigger(
        [{"directory": str(notebook), "steps": STEPS}] * (RUNS // 2)
    ) + get_job("gated-async-steps").batch_trigger(
        [{"directory": str(notebook), "steps": STEPS}] * (RUNS // 2)
    )
    worker = start_worker(settings=PATIENT).wait_until_ready()
    broken = 0
    while Run.objects.active().exists():
        _wait_for_some_steps(notebook)
        broken += _break_connections()
    assert broken > 5

    # A claim whose answer was lost is given back before its body starts, and costs a generation.
    ended = _how_they_ended(runs)
    assert {(status, crashes) for status, _, crashes in ended} == {("completed", 0)}, worker.log
    executions = Counter(notebook.details("began"))
    assert set(executions.values()) == {RUNS}, "a step was executed twice"
    assert Step.objects.filter(status="completed").count() == RUNS * STEPS
    assert worker.is_running
    worker.terminate()
    assert worker.wait() == 0


def _wait_for_some_steps(notebook: Notebook) -> None:
    """Until a random number of further steps has begun, or all is done."""
    wanted = len(notebook.notes("began")) + random.randint(1, RUNS * STEPS // 10)

    def enough() -> bool:
        return len(notebook.notes("began")) >= wanted or not Run.objects.active().exists()

    eventually(enough, 30, "the worker did not come back")


def _break_connections() -> int:
    find, kill = _CONNECTIONS[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(find)
        others = [number for (number,) in cursor.fetchall()]
        return sum(_break(number, kill) for number in others)


def _break(number: int, kill: str) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute(kill, [number])
    except OperationalError:  # it is gone already
        return False
    return True


@SERVERS_ONLY
def test_a_row_that_somebody_has_locked_costs_no_other_run_anything(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    settings = {"LEASE_SECONDS": 2, "LEASE_RENEW_SECONDS": 0.3}
    gates = [notebook.gate(str(number)) for number in range(2)]
    worker = start_worker(settings=settings).wait_until_ready()
    locked = get_job("gated-steps").trigger({"directory": str(notebook), "steps": 1})
    gates[0].wait_until_reached()
    others = get_job("gated-async-steps").batch_trigger(
        [{"directory": str(notebook), "steps": 20}] * 3
    )
    eventually(lambda: len(notebook.notes("began")) == 4)
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=locked.pk)
        gates[0].open()
        eventually(lambda: _has_expired(locked), 10, "it was renewed under our lock")
        gates[1].open()
        eventually(lambda: notebook.details("ended").count("19") == 3, 10, "the others wait")
    eventually(lambda: not Run.objects.active().exists(), 20, "runs are left")

    assert _how_they_ended(others) == {("completed", 1, 0)}
    locked.refresh_from_db()
    assert (locked.status, locked.error) == ("completed", None)
    assert worker.is_running


def _has_expired(run: Run) -> bool:
    now = RawSQL(clock.database_now_sql(connection), [])
    return Run.objects.filter(pk=run.pk, lease_expires_at__lt=now).exists()


def _how_they_ended(runs: list[Run]) -> set[tuple[str, int, int]]:
    """Status, generation and crashes."""
    ids = [run.pk for run in runs]
    fields = ("status", "lease_generation", "crashes")
    return set(Run.objects.filter(pk__in=ids).values_list(*fields))
