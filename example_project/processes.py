"""Child processes of the demo, and how none of them outlives it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 10.0
TAIL_LINES = 15


class Stopped(Exception):
    """Somebody pressed Ctrl-C, closed the terminal, or ended the demo with a signal."""


class ChildDied(Exception):
    """A child process ended by itself; the message has the last lines of its log."""


class Signals:
    """Notes the signals that end the demo. They interrupt nothing: `check()` is asked for them.

    So a signal never falls between the start of a child and the moment the demo knows of it.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.last = number

    def check(self) -> None:
        if self.count:
            raise Stopped


class Child:
    """A process in a session of its own, so that Ctrl-C reaches the demo alone, which then ends it
    together with all processes that it has started."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        if self.process.poll() is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
            ended = f"The {self.name} ended with exit status {self.process.returncode}."
            raise ChildDied("\n".join([f"{ended} Its last words ({self.log}):", "", *lines]))

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # nobody is left in its group
            os.killpg(self.process.pid, number)


class Children:
    """The child processes of a `with` block; at its end they are stopped, whatever happened in it.

    They get `SIGTERM` and some seconds; then, or at a second Ctrl-C, `SIGKILL`.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._children: list[Child] = []

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        noted = self._signals.count
        for child in self._children:
            child.signal(signal.SIGTERM)
        poll_until(self._all_ended, PATIENCE_SECONDS, lambda: self._signals.count > noted)
        for child in self._children:
            child.signal(signal.SIGKILL)
            child.process.wait()

    def start(self, name: str, command: Sequence[str], log: Path) -> None:
        self._children.append(Child(name, command, log))

    def check(self) -> None:
        """Raises Stopped after a signal, ChildDied when a child has ended."""
        self._signals.check()
        for child in self._children:
            child.check()

    def _all_ended(self) -> bool:
        return all(child.process.poll() is not None for child in self._children)


def poll_until(
    done: Callable[[], bool], seconds: float, give_up: Callable[[], bool] = lambda: False
) -> bool:
    """Whether `done()` came true within so many seconds, and before `give_up()` did."""
    deadline = time.monotonic() + seconds
    while not done():
        if give_up() or time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
