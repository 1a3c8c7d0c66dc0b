"""Follows a page: writes its files, types its commands, executes its Python, in a real project."""

import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.docs.examples import EXECUTED, Action, Example
from tests.support import databases
from tests.support.processes import children
from tests.support.waiting import eventually

SECONDS = 60
"""How long a command or a block may take, on a machine that is busy with other things."""
PRINTED = "#>"
"""Marks, in a block of Python, a line that the code above it prints."""

_INTERPRETER = Path(__file__).with_name("interpreter.py")
_STEPS_DONE = re.compile(r"press Ctrl-C when (\d+) steps are done")
_OWN_VARIABLES = ("DJANGO_", "DURABLY_", "PYTEST_")


class Project:
    """A Django project in a folder of its own, and what runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = ""
        self._running: list[subprocess.Popen[bytes]] = []
        self._interpreter: subprocess.Popen[str] | None = None

    def follow(self, steps: Sequence[Example | Action]) -> None:
        """Do all of this, in its order, and end it. Fails the test where the page is wrong."""
        with self.at_the_end_of(steps):
            pass

    @contextmanager
    def at_the_end_of(self, steps: Sequence[Example | Action]) -> Iterator[None]:
        """The same, with what the page has started still running inside the block."""
        try:
            for step in steps:
                if isinstance(step, Action):
                    self.act(step)
                else:
                    self.take(step)
            yield
        finally:
            self.close()

    def copy(self, folder: Path) -> "Project":
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Project(folder)

    def take(self, example: Example) -> None:
        if example.reason:
            return
        if example.mode == "alone":
            self._check_alone(example)
        elif example.is_file:
            self.write(example.title, example.text)
        elif example.language == "shell" and example.mode == "keeps running":
            self.start(example.text)
        elif example.language == "shell":
            self.run(example.text, example.place, fails=example.mode == "fails")
        elif example.language == "python":
            self.execute(example.text, example.place)
        else:
            assert example.language not in EXECUTED, example.place

    def act(self, action: Action) -> None:
        if action.words == "start a worker":
            self.start("python manage.py run_worker")
        elif action.words == "press Ctrl-C":
            self.interrupt()
        elif match := _STEPS_DONE.fullmatch(action.words):
            self._wait_for_steps(int(match[1]))
            self.interrupt()
        else:
            raise AssertionError(f"{action.place}: nobody knows how to {action.words!r}")

    # Files

    def write(self, path: str, text: str) -> None:
        """Make this file, or add to its end."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        before = f"{file.read_text().rstrip()}\n\n\n" if file.exists() else ""
        file.write_text(before + text)
        self._leave_interpreter()

    # Commands

    def run(self, commands: str, place: str, fails: bool = False) -> str:
        """Type these commands; what they printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * SECONDS,
            check=False,
        )
        assert bool(done.returncode) == fails, f"{place}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def start(self, command: str) -> None:
        """Start a worker or the site, in a terminal of its own, and wait until it is there."""
        if "runserver" in command:
            self.site = f"127.0.0.1:{_free_port()}"
            command = f"{command} --noreload {self.site}"
        with (self.folder / "terminal.log").open("ab") as log:
            process = subprocess.Popen(
                shlex.split(command),
                cwd=self.folder,
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._running.append(process)
        eventually(lambda: process.poll() is not None or self._is_ready(process), SECONDS, command)
        assert process.poll() is None, f"{command} ended: {self._log()}"

    def interrupt(self) -> None:
        """Press Ctrl-C in the terminal of what was started last."""
        process = self._running.pop()
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0, self._log()

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        if "runserver" in str(process.args):
            return _answers(self.site)
        pids = {process.pid, *children(process.pid)}
        return any(pid in pids for (pid,) in self._select("SELECT pid FROM durably_worker"))

    def _wait_for_steps(self, count: int) -> None:
        question = f"SELECT id FROM durably_run WHERE completed_step_count >= {count}"
        question += " AND status = 'leased'"
        eventually(lambda: list(self._select(question)), SECONDS, f"no run has done {count} steps")

    def _select(self, question: str) -> Iterator[tuple[object, ...]]:
        """The rows of all databases of the project that know the table."""
        for path in self.folder.glob("*.sqlite3"):
            opened = closing(sqlite3.connect(path, timeout=10))
            with opened as connection, suppress(sqlite3.OperationalError):
                yield from connection.execute(question).fetchall()

    def _check_alone(self, example: Example) -> None:
        other = self.copy(self.folder.with_name(f"{self.folder.name}-alone"))
        try:
            other.write(example.title, example.text)
            # Django 6.1 asks a server for its checks, and that one is not there.
            command = "check" if "sqlite3" in example.text else "diffsettings"
            other.run(f"python manage.py {command}", example.place)
        finally:
            shutil.rmtree(other.folder)

    # Python

    def execute(self, code: str, place: str) -> None:
        """Execute this where the blocks before it were; it must print what it says it prints."""
        self._interpreter = self._interpreter or self._start_interpreter()
        answer = _ask(self._interpreter, {"code": code, "place": place})
        assert not answer["error"], f"{place}: {answer['error']}\n{answer['printed']}"
        promised = [
            line.strip().removeprefix(PRINTED).strip()
            for line in code.splitlines()
            if line.strip().startswith(PRINTED)
        ]
        if promised:
            printed = [line.strip() for line in answer["printed"].splitlines()]
            assert printed == promised, place

    def _start_interpreter(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(_INTERPRETER)],
            cwd=self.folder,
            env={**self._environment(), "DJANGO_SETTINGS_MODULE": "mysite.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _leave_interpreter(self) -> None:
        """Files have changed: the next block is executed by a new interpreter."""
        interpreter, self._interpreter = self._interpreter, None
        if interpreter is not None:
            interpreter.communicate(timeout=SECONDS)

    # The surroundings

    def close(self) -> None:
        """End what still runs. A worker must end well; Django's server never does."""
        self._leave_interpreter()
        running, self._running = self._running, []
        for process in running:
            process.terminate()
        codes = {str(process.args): _end(process) for process in running}
        assert not any(code for command, code in codes.items() if "worker" in command), self._log()

    def _log(self) -> str:
        return (self.folder / "terminal.log").read_text()

    def _environment(self) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith(_OWN_VARIABLES)}
        programs = Path(sys.executable).parent
        return {
            **own,
            "PATH": f"{programs}{os.pathsep}{own['PATH']}",
            # What the pages install is there already; nothing may be downloaded for a test.
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONUNBUFFERED": "1",
            "REDIS_URL": databases.REDIS.url,
        }


def forget_runs(project: Project) -> None:
    """Empty the tables of runs, for the pages that go on from here."""
    for path in project.folder.glob("*.sqlite3"):
        with closing(sqlite3.connect(path)) as connection, connection:
            for table in ("logentry", "step", "runlabel", "event", "worker", "run"):
                connection.execute(f"DELETE FROM durably_{table}")


def _ask(process: subprocess.Popen[str], request: dict[str, str]) -> dict[str, str]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    ready, _, _ = select.select([process.stdout], [], [], SECONDS)
    if not ready:
        process.kill()
    line = process.stdout.readline()
    assert line, f"{request['place']}: no answer after {SECONDS} s"
    answer: dict[str, str] = json.loads(line)
    return answer


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


def _answers(site: str) -> bool:
    host, _, port = site.partition(":")
    with closing(socket.socket()) as probe:
        return probe.connect_ex((host, int(port))) == 0


def _end(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
