"""Waiting for the end of a run, from any process.

The database is read when a wake-up says that events were recorded, and at an interval that
grows while nothing happens, for the databases that send no wake-ups.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from asgiref.sync import sync_to_async

from django_durably import wakeups
from django_durably.exceptions import NotFoundError, RunCancelled, RunFailed, WaitTimeout
from django_durably.models import LogEntry, Run, RunStatus
from django_durably.storage import database

OnProgress = Callable[[dict[str, Any]], None]
OnLog = Callable[[LogEntry], None]

_FIRST_INTERVAL = 0.01
_LONGEST_INTERVAL = 0.5


class _Watch:
    """What has been seen of a run so far; ``look`` reads once and reports what is new."""

    def __init__(self, run: Run, on_progress: OnProgress | None, on_log: OnLog | None) -> None:
        self._id = run.pk
        self._on_progress = on_progress
        self._on_log = on_log
        self._progress: Any = None
        self._last_log = 0

    def look(self) -> Run:
        alias = database.connection().alias
        run = Run.objects.using(alias).filter(pk=self._id).first()
        if run is None:
            raise NotFoundError("Run not found")
        if self._on_progress is not None and run.progress not in (None, self._progress):
            self._progress = run.progress
            self._on_progress(run.progress)
        if self._on_log is not None:
            logs = LogEntry.objects.using(alias).filter(run_id=self._id, pk__gt=self._last_log)
            for entry in logs.order_by("pk"):
                self._last_log = entry.pk
                self._on_log(entry)
        return run


class Clock:
    """A deadline, and how long to pause before the next look."""

    def __init__(self, timeout: float | None) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._interval = _FIRST_INTERVAL

    def pause(self, run: Run) -> float:
        """Seconds until the next look; raises WaitTimeout when the time is over."""
        left = _LONGEST_INTERVAL if self._deadline is None else self._deadline - time.monotonic()
        if left <= 0:
            raise WaitTimeout(f"Run {run.pk} is still {run.status}", run=run)
        self._interval = min(self._interval * 1.5, _LONGEST_INTERVAL)
        return min(self._interval, left)

    def hurry(self) -> None:
        self._interval = _FIRST_INTERVAL


def wait(
    run: Run,
    timeout: float | None = None,
    on_progress: OnProgress | None = None,
    on_log: OnLog | None = None,
) -> Run:
    """See ``Run.wait``."""
    watch, clock = _Watch(run, on_progress, on_log), Clock(timeout)
    with Hints() as hints:
        while (now := watch.look()).is_active:
            hints.wait(clock, now)
    return _result(now)


async def await_result(
    run: Run,
    timeout: float | None = None,
    on_progress: OnProgress | None = None,
    on_log: OnLog | None = None,
) -> Run:
    """See ``Run.await_result``."""
    watch, clock = _Watch(run, on_progress, on_log), Clock(timeout)
    look = sync_to_async(watch.look, thread_sensitive=True)
    async with AsyncHints() as hints:
        while (now := await look()).is_active:
            await hints.wait(clock, now)
    return _result(now)


class Hints:
    """Hints that events were recorded: ``with Hints() as hints``."""

    def __enter__(self) -> Self:
        self._heard = threading.Event()
        self._listener = _listen(self._heard.set)
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()

    def wait(self, clock: Clock, run: Run) -> None:
        """Wait for a hint, or until it is time to look anyway. Raises WaitTimeout."""
        if self._heard.wait(clock.pause(run)):
            clock.hurry()
        self._heard.clear()


class AsyncHints:
    """The same on an event loop."""

    async def __aenter__(self) -> Self:
        loop, self._heard = asyncio.get_running_loop(), asyncio.Event()
        self._listener = _listen(lambda: loop.call_soon_threadsafe(self._heard.set))
        return self

    async def __aexit__(self, *error: object) -> None:
        # Closing joins a thread, which is not for an event loop to wait for.
        await asyncio.to_thread(self._listener.close)

    async def wait(self, clock: Clock, run: Run) -> None:
        try:
            async with asyncio.timeout(clock.pause(run)):
                await self._heard.wait()
            clock.hurry()
        except TimeoutError:
            pass
        self._heard.clear()


def _listen(notify: Callable[[], object]) -> wakeups.Listener:
    def on_hint(topic: str) -> None:
        notify()

    return wakeups.get_wakeups().listen(on_hint, [wakeups.EVENTS])


def _result(run: Run) -> Run:
    if run.status == RunStatus.FAILED:
        raise RunFailed(run.error or "", run=run)
    if run.status == RunStatus.CANCELLED:
        raise RunCancelled(f"Run {run.pk} was cancelled", run=run)
    return run
