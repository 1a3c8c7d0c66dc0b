"""A worker process: it claims runs for its free slots, executes them, and knows how to stop."""

import logging
import os
import queue
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from asgiref.sync import sync_to_async

from django_durably import wakeups
from django_durably.conf import get_settings
from django_durably.exceptions import HandedBack
from django_durably.jobs import registry
from django_durably.runtime import connections, execution
from django_durably.runtime.active import ActiveRuns, Execution
from django_durably.runtime.async_context import AsyncStepContext
from django_durably.runtime.bodies import EventLoop, Threads
from django_durably.runtime.context import StepContext
from django_durably.runtime.heartbeat import Heartbeat, deadline
from django_durably.runtime.journal import Journal
from django_durably.runtime.maintenance import Maintenance
from django_durably.storage.changes import Claimed, ClaimRequest, Lease
from django_durably.storage.claims import Claims
from django_durably.storage.workers import WorkerInfo

logger = logging.getLogger("django_durably")

_TICK = 0.25
# Seconds for the last commit and for signing off, when the database does not answer.
_FAREWELL = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a worker works; the durations are in seconds."""

    concurrency: int | None = None
    jobs: Sequence[str] = ()
    drain: bool = False
    max_runs: int | None = None
    shutdown_timeout: float = 20.0
    worker_id: str | None = None
    parent: int | None = None  # stop when this process is no longer the parent


def make_worker_id() -> str:
    """A name that no other process ever had: host, process id and some random digits."""
    return f"{socket.gethostname()[:200]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class Worker:
    """Claims, executes and settles runs until it is told to stop.

    ``run`` is called in the main thread, ``stop`` from anywhere.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        slots = options.concurrency or get_settings().concurrency
        self.id = options.worker_id or make_worker_id()
        self.jobs = _jobs(options.jobs)
        self._active = ActiveRuns(slots)
        self._threads = Threads(slots, "durably-body")
        self._loop = EventLoop(slots)
        self._journal = Journal(self.id, self)
        self._info = WorkerInfo(self.id, socket.gethostname(), os.getpid(), slots, self.jobs)
        self._heartbeat = Heartbeat(self._info, self._active)
        self._maintenance = Maintenance()
        self._left = options.max_runs
        self._stopping = threading.Event()
        # A signal handler may put into it whatever the main thread holds: an Event would deadlock.
        self._orders: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._finished = threading.Event()
        # Set when there may be something to claim; the journal asks with its next commit.
        self._hungry = True
        self._drained = False

    # Starting and stopping

    def run(self) -> bool:
        """Work until stopped, drained, or ``max_runs`` were executed.

        Returns False when the process must end at once: bodies were still running after the
        shutdown timeout, and their runs were handed back, or the database does not answer.
        """
        logger.info("Worker %s takes %d jobs", self.id, len(self.jobs))
        self._journal.start()
        self._heartbeat.start()
        self._maintenance.start()
        topics = [wakeups.RUNS, wakeups.CANCELLATIONS]
        listener = wakeups.get_wakeups().listen(self._on_hint, topics)
        try:
            self._work()
        finally:
            listener.close()
        return self._shut_down()

    def stop(self) -> None:
        """Claim nothing more and let every run reach its next step boundary."""
        self._orders.put(None)

    def stop_and_wait(self) -> None:
        """The same, and wait until the runs are settled or handed back."""
        self.stop()
        self._finished.wait(self._options.shutdown_timeout + 5)

    def _on_hint(self, topic: str) -> None:
        if topic == wakeups.RUNS:
            self.ask()
        elif topic == wakeups.CANCELLATIONS:
            self._heartbeat.look()

    def ask(self) -> None:
        """There may be something to claim."""
        self._hungry = True
        if self._active.free_slots:
            self._journal.wake()

    def _work(self) -> None:
        poll = get_settings().poll.total_seconds()
        next_poll = 0.0
        while not self._stopping.is_set() and not self._is_done():
            if time.monotonic() >= next_poll:
                self.ask()
                next_poll = time.monotonic() + poll
            self._active.abort_overdue()
            self._pause(min(_TICK, max(0.01, next_poll - time.monotonic())))

    def _pause(self, seconds: float) -> None:
        with suppress(queue.Empty):
            self._orders.get(timeout=seconds)
            self._stopping.set()

    def _is_done(self) -> bool:
        if self._journal.failed:
            raise RuntimeError("The journal of the worker has failed; see the log")
        if self._heartbeat.failed:
            raise RuntimeError("The heartbeat of the worker has failed; see the log")
        if self._options.parent is not None and os.getppid() != self._options.parent:
            logger.warning("The supervisor is gone; worker %s stops", self.id)
            return True
        # In this order: a run that is accepted between the two looks must not be missed.
        done = self._left == 0 or (self._options.drain and self._drained)
        return done and not self._active.leases()

    def _shut_down(self) -> bool:
        self._stopping.set()
        self._active.shut_down()
        finished = self._wait_for_bodies()
        if not finished:
            self._hand_back_the_rest()
        if self._journal.close(_FAREWELL) and finished:
            self._heartbeat.stop(_FAREWELL)
            self._maintenance.stop(_FAREWELL)
            self._threads.close()
            self._loop.close()
            wakeups.close_wakeups()
        else:
            # Bodies may still execute, and their runs are others' by now: leave without farewell.
            finished = False
        self._finished.set()
        return finished

    def _wait_for_bodies(self) -> bool:
        """Wait for the step boundaries; leases can still run out meanwhile."""
        end = time.monotonic() + self._options.shutdown_timeout
        while (left := end - time.monotonic()) > 0:
            if self._active.wait_until_empty(min(_TICK, left)):
                return True
            self._active.abort_overdue()
        return self._active.wait_until_empty(0)

    def _hand_back_the_rest(self) -> None:
        for lease in self._active.leases():
            one = self._active.get(lease)
            if one is not None and self._finish(one.run, _handed_back()):
                logger.warning(
                    "The body did not end in time; the run is handed back",
                    extra={"run_id": str(lease.run_id), "job": one.run.job_name},
                )

    # What the journal asks (in its thread)

    def request(self) -> ClaimRequest | None:
        """As many runs as there are free slots, when there may be any."""
        free = self._active.free_slots
        if self._left is not None:
            free = min(free, self._left)
        if not self._hungry or free < 1 or self._stopping.is_set():
            return None
        self._hungry = False
        return ClaimRequest(self.id, self.jobs, free)

    def accept(self, claims: Claims, asked_at: float) -> None:
        """Start the bodies of these runs."""
        self._hungry = self._hungry or claims.more
        self._drained = not claims.runs and not claims.more
        for run in claims.runs:
            self._start(run, asked_at)
        if self._left is not None:
            self._left -= len(claims.runs)

    def leases(self) -> list[Lease]:
        return self._active.leases()

    def _start(self, run: Claimed, asked_at: float) -> None:
        context = execution.make_context(run, self._journal, self._loop.in_thread)
        self._active.add(Execution(run, context), deadline(asked_at))
        if self._stopping.is_set():
            # It was claimed while the signal came, and nobody may wait for it any more.
            self._finish(run, _handed_back())
        elif isinstance(context, AsyncStepContext):
            self._loop.run(self._aexecute(run, context), partial(_cancel_when_aborted, context))
        elif isinstance(context, StepContext):
            self._threads.run(partial(self._execute, run, context))

    def _execute(self, run: Claimed, context: StepContext) -> None:
        self._finish(run, execution.execute(run, context))

    async def _aexecute(self, run: Claimed, context: AsyncStepContext) -> None:
        await self._heal_shared_thread()
        self._finish(run, await execution.aexecute(run, context))

    async def _heal_shared_thread(self) -> None:
        """The async ORM works in one thread for all bodies, whose connections nobody else heals."""
        try:
            await sync_to_async(connections.heal, thread_sensitive=True)()
        except Exception as error:
            logger.warning("A connection could not be closed: %s", error)

    def _finish(self, run: Claimed, ended: execution.Ended) -> bool:
        """Free the slot at once, so that the commit that settles this run claims the next.

        False when the run was finished already.
        """
        one = self._active.get(run.lease)
        first = self._active.end(run.lease)
        if first and one is not None:
            one.context.end()
            execution.settle(run, ended, self._journal, partial(self._settled, run))
        return first

    def _settled(self, run: Claimed) -> None:
        # What this end frees or triggered is looked for before the queue counts as empty.
        self._drained = False
        self._active.remove(run.lease)
        if self._options.drain:
            self.ask()


def _handed_back() -> execution.Ended:
    outcome = execution.Interrupted(HandedBack("The worker shuts down"))
    return execution.Ended(outcome, duration=0)


def _cancel_when_aborted(context: AsyncStepContext, cancel: Callable[[], object]) -> None:
    """An aborted run cancels its task; on shutdown the task goes on to its next step boundary."""

    def on_interrupt() -> None:
        if context.is_aborted():
            cancel()

    context.on_interrupt(on_interrupt)


def _jobs(names: Sequence[str]) -> tuple[str, ...]:
    """The jobs to take: all that are known, or those named. Raises NotFoundError."""
    return tuple(registry.get(name).name for name in names) or tuple(registry.names())
