"""A worker as a process: its signals, its parent, and how it ends."""

import atexit
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from django.utils import autoreload

from django_durably.runtime.worker import Worker

logger = logging.getLogger("django_durably")

_CODE_HAS_CHANGED = 3  # how Django's reloader ends a process


def work(worker: Worker, leave: bool) -> None:
    """Run this worker in the main thread; the first SIGTERM or SIGINT stops it.

    A second signal ends the process at once, and its leases expire. With ``leave`` the process
    ends with the worker: an interpreter that ends by itself waits for threads of bodies.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: exit_now(128 + number))
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        clean = worker.run()
    except Exception:
        if not leave:
            raise
        logger.critical("The worker failed", exc_info=True)
        clean = False
    if leave or not clean:
        exit_now(0 if clean else 1)


def work_with_reloader(make_worker: Callable[[int], Worker]) -> None:
    """The same in a child process that ends when code changes, and is started again.

    ``make_worker`` is given the id of the process that must stay alive. Before a restart the
    child hands its runs back.
    """
    if os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) != "true":
        sys.exit(_restart_child())
    worker = make_worker(os.getppid())
    leaving = threading.Event()

    def hand_back(**kwargs: Any) -> None:
        leaving.set()
        worker.stop_and_wait()

    def run() -> None:
        worker.run()
        if not leaving.is_set():  # drained, or the parent is gone
            os.kill(os.getpid(), signal.SIGTERM)

    atexit.register(hand_back)
    autoreload.file_changed.connect(hand_back, weak=False)
    autoreload.run_with_reloader(run)


def _restart_child() -> int:
    """Run this command as a child, again as long as it ends because code has changed.

    Django's own loop would kill the child at once when a signal comes.
    """
    environment = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
    asked_to_leave = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked_to_leave
        asked_to_leave = True
        if number == signal.SIGTERM:  # a Ctrl-C reaches the child by itself
            child.terminate()

    while True:
        child = subprocess.Popen(autoreload.get_child_arguments(), env=environment)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, on_signal)
        if asked_to_leave:  # while there was no child
            child.terminate()
        code = child.wait()
        if code != _CODE_HAS_CHANGED or asked_to_leave:
            return code


def exit_now(code: int) -> None:
    """End the process without waiting for threads that still execute bodies."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
