"""Several worker processes under one parent, which restarts the dead and stops them all."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

logger = logging.getLogger("django_durably")

# A child that dies sooner than this after its start is started again only after a pause.
_TOO_SOON = 5.0
_PAUSE = 1.0
_TICK = 0.1
# Above the children's own shutdown timeout: they hand back and exit by themselves, and a database
# that does not answer may cost them some more seconds.
_GRACE = 20.0


class Supervisor:
    """Keeps ``processes`` copies of this command running, until a signal or until all are done.

    With ``replace_done`` a child that has done its share is followed by another: ``--max-runs``
    then renews the processes of a site, for what their bodies leak.
    """

    def __init__(self, processes: int, shutdown_timeout: float, replace_done: bool) -> None:
        self._processes = processes
        self._shutdown_timeout = shutdown_timeout
        self._replace_done = replace_done
        self._children: dict[subprocess.Popen[bytes], float] = {}
        self._stopping = threading.Event()
        self._signals: list[int] = []
        self._code = 0

    def run(self) -> int:
        """Returns 0, or the worst exit status of the children that were asked to leave."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for _ in range(self._processes):
            self._start()
        while self._children and not self._stopping.wait(_TICK):
            self._replace_the_dead()
        self._stop_children()
        return self._code if len(self._signals) < 2 else 128 + self._signals[-1]

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # It is passed on by the loop, which knows all children: one may be starting just now.
        self._signals.append(number)
        self._stopping.set()

    def _start(self) -> None:
        # A group of its own: a Ctrl-C in the terminal reaches the children through the parent,
        # once, as their first signal.
        command = [*sys.orig_argv, "--processes", "1", "--parent", str(os.getpid())]
        self._children[subprocess.Popen(command, process_group=0)] = time.monotonic()

    def _replace_the_dead(self) -> None:
        for child, lived in self._reap():
            if self._stopping.is_set() or (child.returncode == 0 and not self._replace_done):
                continue
            if child.returncode != 0:
                logger.error(
                    "Worker process %d ended with status %d; starting another",
                    child.pid,
                    child.returncode,
                )
                if lived < _TOO_SOON:
                    self._stopping.wait(_PAUSE)
            self._start()

    def _reap(self) -> list[tuple[subprocess.Popen[bytes], float]]:
        """The children that have ended since the last call, and how many seconds they lived."""
        now = time.monotonic()
        ended = [child for child in self._children if child.poll() is not None]
        return [(child, now - self._children.pop(child)) for child in ended]

    def _stop_children(self) -> None:
        """Pass every signal on: a second one makes the children leave at once, as it would us."""
        end = time.monotonic() + self._shutdown_timeout + _GRACE
        passed_on = 0
        while self._children:
            if passed_on < len(self._signals):
                passed_on += 1
                self._send(signal.SIGTERM)
            elif time.monotonic() > end:
                self._send(signal.SIGKILL)
            time.sleep(_TICK)
            for child, _ in self._reap():
                self._note(child.returncode)

    def _send(self, number: int) -> None:
        for child in self._children:
            child.send_signal(number)

    def _note(self, status: int) -> None:
        # One that was still starting knew no better than to die of the signal.
        if status != -signal.SIGTERM:
            self._code = max(self._code, abs(status))
