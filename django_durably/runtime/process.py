"""A worker as a process: its signals, its parent, and how it ends."""

import atexit
import os
import signal
import sys
from types import FrameType
from typing import Any

from django.utils import autoreload

from django_durably.runtime.worker import Worker


def work(worker: Worker) -> None:
    """Run this worker in the main thread; the first SIGTERM or SIGINT stops it.

    A second signal ends the process at once, and its leases expire.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: exit_now(128 + number))
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    if not worker.run():
        exit_now(1)


def work_with_reloader(worker: Worker) -> None:
    """The same under Django's reloader: before a restart the runs are handed back."""

    def hand_back(**kwargs: Any) -> None:
        worker.stop_and_wait()

    def run() -> None:
        atexit.register(worker.stop_and_wait)
        worker.run()

    autoreload.file_changed.connect(hand_back, weak=False)
    autoreload.run_with_reloader(run)


def exit_now(code: int) -> None:
    """End the process without waiting for threads that still execute bodies."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
