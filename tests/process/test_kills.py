"""Workers die of SIGKILL at any moment: the work is done all the same, and little of it twice."""

import os
import random
import signal
import time
from collections import Counter, defaultdict

import pytest

from django_durably import get_job
from django_durably.models import Run, Step
from example_project.airports import dataset
from example_project.airports.models import Airport
from tests.process.conftest import StartWorker
from tests.support.notebook import Notebook
from tests.support.processes import is_alive
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

# Seconds for which the storm goes on; the last import is finished after that.
STORM_SECONDS = float(os.environ.get("DURABLY_TEST_STORM_SECONDS", "45"))
QUICK = {"LEASE_SECONDS": 1.5, "LEASE_RENEW_SECONDS": 0.3, "MAX_CRASHES": 100}


def test_import_survives_kills_at_random_moments(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    run = _trigger(notebook, batch_size=250)
    _kill_at_random_moments(run, start_worker, notebook, kills=3)

    _wait_until_completed(run, notebook)
    _check_executions(run, notebook)
    _check_airports()


@pytest.mark.storm
@pytest.mark.timeout(STORM_SECONDS * 2 + 120)
def test_imports_survive_a_storm_of_kills(start_worker: StartWorker, notebook: Notebook) -> None:
    end = time.monotonic() + STORM_SECONDS
    kills = 0
    while time.monotonic() < end:
        run = _trigger(notebook, batch_size=random.choice([100, 250, 500]))
        kills += _kill_at_random_moments(run, start_worker, notebook, kills=100, until=end)
        _wait_until_completed(run, notebook)
        _check_executions(run, notebook)
        _check_airports()
        (notebook.directory / "notes").unlink()
        Airport.objects.all().delete()
    assert kills >= STORM_SECONDS / 10, f"only {kills} kills"


def _trigger(notebook: Notebook, batch_size: int) -> Run:
    return get_job("import-in-steps").trigger(
        {"directory": str(notebook), "batch_size": batch_size}
    )


def _kill_at_random_moments(
    run: Run,
    start_worker: StartWorker,
    notebook: Notebook,
    kills: int,
    until: float = float("inf"),
) -> int:
    """Kill whoever executes the run, again and again; a second worker always stands by.

    Returns how many it were: the run may end before all of them. Two workers are left.
    """
    workers = [start_worker(settings=QUICK).wait_until_ready() for _ in range(2)]
    for done in range(kills):
        if not _wait_for_some_steps(run, notebook) or time.monotonic() > until:
            return done
        victim = _holder(run)
        if victim is not None:
            os.kill(victim, signal.SIGKILL)
            workers = [worker for worker in workers if worker.pid != victim]
            workers.append(start_worker(settings=QUICK))
    return kills


def _wait_for_some_steps(run: Run, notebook: Notebook) -> bool:
    """Wait until a random number of further steps has begun; False when the run ends first."""
    wanted = len(notebook.notes("executed")) + random.randint(1, 12)

    def enough_or_ended() -> bool:
        return len(notebook.notes("executed")) >= wanted or _reload(run).is_terminal

    eventually(enough_or_ended, 60, "nobody went on with the run")
    return not _reload(run).is_terminal


def _holder(run: Run) -> int | None:
    """The process that leases the run; the middle of a worker's id is its process id."""
    owner = _reload(run).lease_owner
    pid = int(owner.split("-")[-2]) if owner else None
    return pid if pid is not None and is_alive(pid) else None


def _reload(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def _wait_until_completed(run: Run, notebook: Notebook) -> None:
    eventually(lambda: _reload(run).is_terminal, 60, "the run did not end")
    ended = _reload(run)
    assert (ended.status, ended.error) == ("completed", None)
    assert ended.output == len(dataset.read())


def _check_executions(run: Run, notebook: Notebook) -> None:
    """No completed step ran again, and a death cost at most the one step that it interrupted."""
    completed = dict(
        Step.objects.filter(run=run, status="completed").values_list("name", "lease_generation")
    )
    executions: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for note in notebook.notes("executed"):
        step, attempt = note.details
        executions[int(attempt)][step] += 1
    assert set(completed) == set().union(*executions.values())
    for generation, names in executions.items():
        assert set(names.values()) == {1}, f"twice in generation {generation}: {names}"
        assert all(generation <= completed[name] for name in names), "a completed step ran again"
        interrupted = [name for name in names if completed[name] != generation]
        assert len(interrupted) <= 1, f"generation {generation} left {interrupted}"


def _check_airports() -> None:
    expected = {row["icao"] for row in dataset.read()}
    assert set(Airport.objects.values_list("icao", flat=True)) == expected
    assert Airport.objects.count() == len(expected)
