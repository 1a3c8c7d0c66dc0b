"""Where the bodies of worker processes and the tests that watch them meet: a directory.

Bodies write notes, which survive every kind of death, and wait at gates that a test opens.
"""

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import eventually


@dataclass(frozen=True)
class Note:
    """One line of a body: what it did, with details, in which process and when.

    `at` is in nanoseconds of a clock that all processes of a machine share.
    """

    at: int
    pid: int
    what: str
    details: tuple[str, ...]


class Notebook:
    """Notes and gates in one directory, which travels to bodies as a string."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def __str__(self) -> str:
        return str(self.directory)

    def write(self, what: str, *details: object) -> None:
        """Add a note. One `write` to a file opened for appending: no two lines ever mix."""
        words = (time.monotonic_ns(), os.getpid(), what, *details)
        line = "\t".join(map(str, words)) + "\n"
        file = os.open(self.directory / "notes", os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def notes(self, what: str | None = None) -> list[Note]:
        """The notes so far, all or those of one kind, in the order in which they were written."""
        path = self.directory / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [_note(line) for line in lines]
        return [note for note in found if what in (None, note.what)]

    def details(self, what: str) -> list[str]:
        """The first detail of each note of this kind."""
        return [note.details[0] for note in self.notes(what)]

    def gate(self, name: str) -> "Gate":
        """A gate that holds bodies up; made by the test, before a body comes to it."""
        gate = Gate(self.directory / f"gate-{name}")
        gate.make()
        return gate

    def pass_gate(self, name: str) -> None:
        """Wait at this gate until it is open; called by a body. No gate holds nobody up."""
        path = self.directory / f"gate-{name}"
        if path.exists():
            path.read_bytes()


class Gate:
    """A named pipe: who reads it waits until somebody has opened it for writing, and closed it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None

    def make(self) -> None:
        if not self._path.exists():
            os.mkfifo(self._path)

    def wait_until_reached(self, timeout: float = 20) -> None:
        """Wait until a body stands at the gate, and hold it there."""
        eventually(self._hold, timeout, f"nobody came to {self._path.name}")

    def _hold(self) -> bool:
        if self._held is None:
            try:
                self._held = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads
                return False
        return True

    def open(self) -> None:
        """Let pass who stands here, and whoever comes later."""
        if stat.S_ISFIFO(self._path.stat().st_mode):
            self._hold()
            free = self._path.with_suffix(".open")
            free.touch()
            free.replace(self._path)
        self.close()

    def close(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _note(line: str) -> Note:
    at, pid, what, *details = line.split("\t")
    return Note(int(at), int(pid), what, tuple(details))
