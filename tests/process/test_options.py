"""What the options of `run_worker` do."""

import os
import time
from pathlib import Path

import pytest

from django_durably import get_job
from django_durably.models import Run
from tests.process.conftest import StartWorker
from tests.support.notebook import Note, Notebook
from tests.support.processes import ROOT, children, is_alive
from tests.support.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

LONG = {"LEASE_SECONDS": 120, "LEASE_RENEW_SECONDS": 1}


def test_drain_ends_when_nothing_is_left(start_worker: StartWorker, notebook: Notebook) -> None:
    get_job("keyed").batch_trigger([{"directory": str(notebook), "steps": 2}] * 25)

    assert start_worker("--drain", "--concurrency", "4").wait() == 0
    assert set(Run.objects.values_list("status", flat=True)) == {"completed"}


def test_max_runs_ends_after_so_many(start_worker: StartWorker, notebook: Notebook) -> None:
    get_job("keyed").batch_trigger([{"directory": str(notebook), "steps": 2}] * 5)

    assert start_worker("--max-runs", "3").wait() == 0
    assert (
        sorted(Run.objects.values_list("status", flat=True)) == ["completed"] * 3 + ["pending"] * 2
    )


def test_job_limits_what_is_taken(start_worker: StartWorker, notebook: Notebook) -> None:
    for name in ("keyed", "keyed-too", "gated-steps"):
        get_job(name).trigger({"directory": str(notebook), "steps": 1})

    assert start_worker("--drain", "--job", "keyed", "--job", "gated-steps").wait() == 0
    statuses = dict(Run.objects.values_list("job_name", "status"))
    assert statuses == {"keyed": "completed", "gated-steps": "completed", "keyed-too": "pending"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--job", "no-such-job"], "CommandError: Job not found: no-such-job"),
        (["--job", "no-such-job", "--processes", "2"], "CommandError: Job not found: no-such-job"),
        (["--concurrency", "0"], "argument --concurrency: invalid"),
        (["--processes", "2", "--reload"], "--processes does not go with --reload"),
    ],
)
def test_a_wrong_option_is_refused(
    options: list[str], message: str, start_worker: StartWorker
) -> None:
    worker = start_worker(*options)
    assert worker.wait() != 0
    assert message in worker.log
    assert "Traceback" not in worker.log


def test_worker_id_names_the_process(start_worker: StartWorker, notebook: Notebook) -> None:
    worker = start_worker("--worker-id", "the-one").wait_until_ready()
    assert worker.ids == {"the-one"}


def test_reload_hands_back_and_starts_again(
    start_worker: StartWorker, notebook: Notebook, tmp_path: Path
) -> None:
    code = tmp_path / "reloaded_settings.py"
    code.write_text("from tests.settings import *\n")
    environment = {
        "DJANGO_SETTINGS_MODULE": code.stem,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
    }
    worker = start_worker("--reload", settings=LONG, environment=environment).wait_until_ready()
    (before,) = children(worker.pid)
    run = get_job("wait-for-signal").trigger({"directory": str(notebook)})
    eventually(lambda: notebook.notes("waiting"), 20)

    def change_the_code() -> list[Note]:
        # Again and again: a change before the reloader's first look would not be one.
        code.write_text(f"from tests.settings import *\n# {time.monotonic()}\n")
        return notebook.notes("signal")

    eventually(change_the_code, 20, "the change was not seen")
    eventually(lambda: notebook.notes("after"), 20, "nobody went on")
    (now,) = children(worker.pid)
    assert [note.pid for note in notebook.notes()] == [before, before, now]
    assert notebook.notes("signal")[0].details == ("shutdown", "False")
    eventually(lambda: Run.objects.get(pk=run.pk).status == "completed")
    worker.terminate()
    assert worker.wait() == 0
    assert not is_alive(now)


def test_reload_hands_back_at_a_signal(start_worker: StartWorker, notebook: Notebook) -> None:
    gate = notebook.gate("1")
    worker = start_worker("--reload", settings=LONG).wait_until_ready()
    run = get_job("gated-steps").trigger({"directory": str(notebook), "steps": 3})
    gate.wait_until_reached()
    worker.terminate()
    gate.open()

    assert worker.wait() == 0
    run.refresh_from_db()
    assert (run.status, run.crashes) in [("pending", 0), ("completed", 0)]


def test_reload_leaves_no_child_when_it_is_killed(start_worker: StartWorker) -> None:
    worker = start_worker("--reload", settings=LONG).wait_until_ready()
    (child,) = children(worker.pid)
    worker.kill()

    eventually(lambda: not is_alive(child), 10, "the child stayed")
