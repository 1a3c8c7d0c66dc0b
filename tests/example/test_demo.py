"""`python -m example_project.demo`, as a newcomer starts it: real processes, real signals."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from example_project.airports import dataset
from example_project.processes import PATIENCE_SECONDS
from tests import settings
from tests.support import databases
from tests.support.waiting import eventually

PROC = Path("/proc")
ROOT = Path(__file__).parent.parent.parent
SERVERS = {"postgresql": databases.POSTGRESQL, "mariadb": databases.MARIADB}

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),  # a database is not created in a transaction
    pytest.mark.skipif(not PROC.is_dir(), reason="finds the processes of the demo in /proc"),
]


class Demo:
    """One demo with a folder of its own, by which its processes are recognised."""

    def __init__(self, folder: Path, database_url: str = "") -> None:
        self.folder = folder
        self.log = folder / "demo.log"
        unwanted = {"DJANGO_SETTINGS_MODULE", "ONCE", "REDIS_URL", "DEBUG"}
        self.environment = {key: os.environ[key] for key in os.environ.keys() - unwanted}
        self.environment |= {"EXAMPLE_FOLDER": str(folder), "DATABASE_URL": database_url}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "example_project.demo", *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        return self.process

    def once(self, *arguments: str) -> int:
        return self.start("--once", *arguments).wait(timeout=120)

    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        eventually(lambda: text in self.output(), timeout=60, message=f"no {text!r} in the output")

    def processes(self) -> dict[int, str]:
        """The ids and command lines of all living processes that belong to this demo."""
        mark = f"EXAMPLE_FOLDER={self.folder}".encode()
        return {
            int(process.name): (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            for process in PROC.glob("[0-9]*")
            if mark in _environment(process)
        }

    def pids(self, command: str) -> list[int]:
        return [pid for pid, line in self.processes().items() if command in line]

    def ask(self, question: str) -> str:
        """What Python prints in the demo's own Django."""
        setup = "import django; django.setup()"
        command = [sys.executable, "-c", f"{setup}; {question}"]
        environment = {**self.environment, "DJANGO_SETTINGS_MODULE": "example_project.settings"}
        return subprocess.check_output(command, cwd=ROOT, env=environment, text=True).strip()

    def airports(self) -> int:
        models = "from example_project.airports.models import Airport"
        return int(self.ask(f"{models}; print(Airport.objects.count())"))


def _environment(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it has just ended, or is somebody else's
        return []


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo on a database of the kind that this test run is about."""
    if databases.chosen() == "sqlite":
        demo = Demo(tmp_path)
    else:
        demo = Demo(tmp_path, _new_database(f"{settings.NAME}_demo"))
    yield demo
    demo.process.kill()
    demo.process.wait()
    for pid in demo.processes():  # a test has failed
        os.kill(pid, signal.SIGKILL)
    if databases.chosen() != "sqlite":
        _drop_database(f"{settings.NAME}_demo")


def _new_database(name: str) -> str:
    _drop_database(name)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    return f"{SERVERS[databases.chosen()].url.rstrip('/')}/{name}"


def _drop_database(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")


def test_once_imports_everything_and_leaves_nothing_running(demo: Demo) -> None:
    everything = len(dataset.read())
    assert demo.once() == 0, demo.output()
    assert f"{everything:,} airports of" in demo.output()
    assert "100%" in demo.output()
    assert demo.airports() == everything
    assert demo.processes() == {}

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert demo.once("--port", str(port)) == 0, demo.output()
    site = re.search(r"http://127.0.0.1:(\d+)/", demo.output())
    assert site
    assert int(site[1]) > port
    assert demo.airports() == everything
    assert demo.processes() == {}


def test_serves_until_ctrl_c(demo: Demo) -> None:
    process = demo.start()
    demo.wait_for("Ctrl-C ends the demo")
    site = demo.output().split("Site:")[1].split()[0]
    with urllib.request.urlopen(site) as response:
        assert f"{len(dataset.read()):,}" in response.read().decode()
    with urllib.request.urlopen(f"{site}static/airports/site.css") as response:
        assert response.headers["Content-Type"] == "text/css"
    assert len(demo.pids("run_worker")) == len(demo.pids("daphne")) == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0, demo.output()
    assert demo.processes() == {}


def test_does_not_wait_for_a_child_that_hangs_at_a_second_ctrl_c(demo: Demo) -> None:
    process = demo.start()
    demo.wait_for("Ctrl-C ends the demo")
    os.kill(demo.pids("daphne")[0], signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    demo.wait_for("Stopping")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_SECONDS / 2) == 0, demo.output()
    assert demo.processes() == {}


def test_goes_on_with_the_import_that_was_stopped(demo: Demo) -> None:
    process = demo.start()
    demo.wait_for("saved")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert demo.processes() == {}
    assert demo.airports() < len(dataset.read())

    assert demo.once() == 0, demo.output()
    assert "Going on with the import that was stopped" in demo.output()
    assert demo.airports() == len(dataset.read())
    steps = "from django_durably.models import Step; print(Step.objects.count())"
    assert int(demo.ask(steps)) == -(-len(dataset.read()) // 500)


@pytest.mark.parametrize("child", ["run_worker", "daphne"])
def test_ends_with_the_last_words_of_a_child_that_died(demo: Demo, child: str) -> None:
    process = demo.start()
    (pid,) = eventually(lambda: demo.pids(child), timeout=60)
    os.kill(pid, signal.SIGKILL)
    assert process.wait(timeout=30) == 1
    assert "ended with exit status -9. Its last words" in demo.output()
    assert demo.processes() == {}


def test_says_when_the_database_does_not_answer(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "mysql://nobody@127.0.0.1:1/nothing")
    assert demo.once() == 1
    assert "The database nothing on 127.0.0.1 fails" in demo.output()
    assert "Traceback" not in demo.output()
