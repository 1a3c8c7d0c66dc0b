"""PostgreSQL restarts under a working worker."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.process.conftest import SETTINGS
from tests.support import databases
from tests.support.notebook import Notebook
from tests.support.private_postgresql import PrivatePostgresql, programs
from tests.support.processes import ROOT, WorkerProcess
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(databases.chosen() != "postgresql", reason="a test of PostgreSQL"),
    pytest.mark.skipif(programs() is None, reason="PostgreSQL's own programs are not here"),
]

NAME = "durably_restart"
RUNS, STEPS = 3, 400
PATIENT = {**SETTINGS, "LEASE_SECONDS": 60}

# A process of its own, because the settings of this one name another server.
TRIGGER = """
import django, json, sys
django.setup()
from django_durably import get_job
get_job("gated-steps").batch_trigger(json.loads(sys.argv[1]))
"""


@pytest.fixture
def server() -> Iterator[PrivatePostgresql]:
    server = PrivatePostgresql()
    server.start()
    yield server
    server.stop()


def test_a_restart_costs_retries_and_no_runs(
    server: PrivatePostgresql, notebook: Notebook, tmp_path: Path
) -> None:
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DURABLY_TEST_POSTGRESQL_URL": server.url,
        "DURABLY_TEST_NAME": NAME,
    }
    with psycopg.connect(server.url, dbname="postgres", autocommit=True) as link:
        link.execute(f"CREATE DATABASE {NAME}")
    _python(environment, "-m", "django", "migrate", "-v0")
    inputs = json.dumps([{"directory": str(notebook), "steps": STEPS}] * RUNS)
    _python(environment, "-c", TRIGGER, inputs)
    worker = WorkerProcess(log=tmp_path / "log", settings=PATIENT, environment=environment)
    try:
        for share, mode in ((0.2, "fast"), (0.5, "immediate")):
            _wait_for_steps(notebook, round(RUNS * STEPS * share))
            server.restart(mode)
        _wait_for_steps(notebook, RUNS * STEPS)
        eventually(lambda: _runs(server) == [("completed", 1, 0)] * RUNS, 20, worker.log)
        assert set(Counter(notebook.details("began")).values()) == {RUNS}
        worker.terminate()
        assert worker.wait() == 0
    finally:
        worker.clean_up()


def _wait_for_steps(notebook: Notebook, count: int) -> None:
    eventually(lambda: len(notebook.notes("ended")) >= count, 40, "the worker did not come back")


def _python(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, check=True
    )


def _runs(server: PrivatePostgresql) -> list[tuple[str, int, int]]:
    """Status, generation and crashes."""
    with psycopg.connect(server.url, dbname=NAME) as link:
        return link.execute("SELECT status, lease_generation, crashes FROM durably_run").fetchall()
