"""Real worker processes: started, signalled, waited for, and never left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django_durably.models import Run, Worker
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
# Time for a start on a machine that is busy with other things.
START_SECONDS = 60


class WorkerProcess:
    """One `manage.py run_worker`, with its output in a file.

    `settings` are merged into the `DURABLY` of the test settings.
    """

    def __init__(
        self,
        *options: str,
        log: Path,
        settings: Mapping[str, Any] = {},
        environment: Mapping[str, str] = {},
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "django", "run_worker", *options],
                cwd=ROOT,
                env={**_environment(settings), **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """All that it has written so far."""
        return self._log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def ids(self) -> set[str]:
        """The ids under which this process and its children are registered as workers."""
        pids = [self.pid, *children(self.pid)]
        return set(Worker.objects.filter(pid__in=pids).values_list("id", flat=True))

    def wait_until_ready(self, workers: int = 1) -> "WorkerProcess":
        """Wait until it says that it is alive (or, with `--processes`, so many children do)."""
        eventually(
            lambda: not self.is_running or len(self.ids) >= workers,
            START_SECONDS,
            "the worker did not start",
        )
        assert self.is_running, f"the worker ended: {self.log}"
        return self

    def holds(self, run: Run) -> bool:
        """Whether this process, or a child of it, leases the run now."""
        owner = Run.objects.filter(pk=run.pk).values_list("lease_owner", flat=True).get()
        return owner in self.ids

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def terminate(self) -> None:
        self.send(signal.SIGTERM)

    def kill(self) -> None:
        """The death that nobody can prepare for. Returns when it is dead."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Stop it in the middle of whatever it does. Returns when all of its threads stand."""
        self.send(signal.SIGSTOP)
        eventually(lambda: _state(self.pid) == "T", 5, "the process did not stop")

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def wait(self, timeout: float = 30) -> int:
        """Wait until it has ended, and return its exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker still runs after {timeout} s: {self.log}") from None

    def clean_up(self) -> None:
        """Kill it and the children that it has, whatever state they are in."""
        for pid in [self.pid, *children(self.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def _environment(settings: Mapping[str, Any]) -> dict[str, str]:
    own = {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DURABLY_TEST_SETTINGS": json.dumps(settings),
        "PYTHONFAULTHANDLER": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **own}


def is_alive(pid: int) -> bool:
    """Whether this process is there and no zombie."""
    return _state(pid) not in ("", "Z", "X")


def children(pid: int) -> list[int]:
    """The processes that this one has started and that still are its children."""
    return [int(child) for task in _tasks(pid) for child in _read(task / "children").split()]


def _tasks(pid: int) -> Iterator[Path]:
    with suppress(OSError):
        yield from Path(f"/proc/{pid}/task").iterdir()


def _state(pid: int) -> str:
    # The name of the program stands before it, in parentheses, and may hold any character.
    return _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].strip()[:1]


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
