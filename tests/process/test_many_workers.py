"""Several workers on one database: no run is lost, and none executes twice at once."""

from collections import Counter
from collections.abc import Iterable
from functools import partial

import pytest

from django_durably import get_job
from django_durably.exceptions import ConflictError
from django_durably.models import Event, Run
from tests.process.conftest import StartWorker
from tests.support.notebook import Note, Notebook
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

# No worker dies here, so that every second execution is a fault.
PATIENT = {"LEASE_SECONDS": 60, "LEASE_RENEW_SECONDS": 5}


@pytest.mark.parametrize("count", [2, 4, 8])
def test_every_run_is_executed_once_by_one_worker(
    count: int, start_worker: StartWorker, notebook: Notebook
) -> None:
    workers = [start_worker("--concurrency", "4", settings=PATIENT) for _ in range(count)]
    inputs = [{"directory": str(notebook)} for _ in range(200)]
    runs = get_job("keyed").batch_trigger(inputs[:100])
    for worker in workers:
        worker.wait_until_ready()
    runs += get_job("keyed").batch_trigger(inputs[100:])

    _wait_until_none_is_active()

    ids = {str(run.pk) for run in runs}
    assert Counter(notebook.details("begin")) == Counter(dict.fromkeys(ids, 1))
    assert Counter(notebook.details("end")) == Counter(dict.fromkeys(ids, 1))
    assert set(Run.objects.values_list("status", "lease_generation")) == {("completed", 1)}
    assert Event.objects.filter(type="run:complete").count() == len(runs)


def test_one_body_at_a_time_executes_under_a_concurrency_key(
    start_worker: StartWorker, notebook: Notebook
) -> None:
    workers = [start_worker("--concurrency", "4", settings=PATIENT) for _ in range(4)]
    for worker in workers:
        worker.wait_until_ready()
    keys = [f"key-{number}" for number in range(3)]
    rounds = [(job, key) for _ in range(10) for key in keys for job in ("keyed", "keyed-too")]
    for job, key in rounds:
        eventually(partial(_trigger, job, key, notebook), 30, "the key is stuck")

    _wait_until_none_is_active()

    assert set(Run.objects.values_list("status", "lease_generation")) == {("completed", 1)}
    assert Run.objects.count() == len(rounds)
    for key in keys:
        _check_one_at_a_time(note for note in notebook.notes() if note.details[1:] == (key,))


def _trigger(job: str, key: str, notebook: Notebook) -> Run | None:
    """A run of this key; None while another one of the same job and key waits."""
    try:
        return get_job(job).trigger(
            {"directory": str(notebook), "key": key, "steps": 2}, concurrency_key=key
        )
    except ConflictError:
        return None


def _check_one_at_a_time(notes: Iterable[Note]) -> None:
    in_order = sorted(notes, key=lambda note: note.at)
    assert in_order
    for begin, end in zip(in_order[::2], in_order[1::2], strict=True):
        assert (begin.what, end.what) == ("begin", "end")
        assert begin.details == end.details


def _wait_until_none_is_active() -> None:
    eventually(lambda: not Run.objects.active().exists(), 60, "runs are left")
