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
# Above the children's own shutdown timeout: they hand back and exit by themselves.
_GRACE = 10.0


class Supervisor:
    """Keeps ``processes`` copies of this command running, until a signal or until all are done."""

    def __init__(self, processes: int, shutdown_timeout: float) -> None:
        self._processes = processes
        self._shutdown_timeout = shutdown_timeout
        self._children: dict[subprocess.Popen[bytes], float] = {}
        self._stopping = threading.Event()
        self._signals = 0
        self._code = 0

    def run(self) -> int:
        """Returns the worst exit status of the children that were not killed."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for _ in range(self._processes):
            self._start()
        while self._children:
            self._stopping.wait(_TICK)
            self._reap()
            if self._stopping.is_set():
                return self._stop_children()
        return self._code

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        self._stopping.set()
        for child in self._children:
            child.send_signal(number)

    def _start(self) -> None:
        # A group of its own: a Ctrl-C in the terminal reaches the children through the parent,
        # once, as their first signal.
        command = [*sys.orig_argv, "--processes", "1", "--parent", str(os.getpid())]
        self._children[subprocess.Popen(command, process_group=0)] = time.monotonic()

    def _reap(self) -> None:
        for child, started in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            del self._children[child]
            if code == 0:
                continue
            self._code = max(self._code, abs(code))
            if self._stopping.is_set():
                continue
            logger.error(
                "Worker process %d ended with status %d; starting another", child.pid, code
            )
            if time.monotonic() - started < _TOO_SOON:
                self._stopping.wait(_PAUSE)
            self._start()

    def _stop_children(self) -> int:
        end = time.monotonic() + self._shutdown_timeout + _GRACE
        for child in list(self._children):
            child.send_signal(signal.SIGTERM)
        for child in list(self._children):
            try:
                code = child.wait(max(0.0, end - time.monotonic()))
                self._code = max(self._code, abs(code))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                self._code = max(self._code, 1)
        return self._code
