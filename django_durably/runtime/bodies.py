"""Where bodies execute: ``def`` bodies in threads, ``async def`` bodies on one event loop."""

import asyncio
import contextvars
import logging
import queue
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from django_durably.runtime import connections

logger = logging.getLogger("django_durably")

T = TypeVar("T")

Work = Callable[[], object]


class Threads:
    """At most ``size`` daemon threads, started when they are first needed.

    Daemon threads, because a blocked body must not keep the process from ending: threads cannot
    be killed, and the interpreter would wait for those of an ordinary pool.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._started = 0
        self._free = 0  # threads that wait for work, or have just been started for it
        self._waiting = 0  # work that no thread has taken yet
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()

    def run(self, work: Work) -> None:
        with self._lock:
            self._waiting += 1
            self._start_if_needed()
        self._queue.put(work)

    def grow(self) -> None:
        """Allow one thread more: one of them is blocked in work that nobody waits for."""
        with self._lock:
            self._size += 1
            self._start_if_needed()

    def shrink(self) -> None:
        """Take the permission back, now that the abandoned work has ended."""
        with self._lock:
            self._size -= 1

    def close(self) -> None:
        """End the threads that are free, and the others when their work ends."""
        with self._lock:
            self._size = 0
            self._waiting += self._started
        for _ in range(self._started):
            self._queue.put(_nothing)

    def _start_if_needed(self) -> None:
        if self._waiting > self._free and self._started < self._size:
            self._started += 1
            self._free += 1
            name = f"{self._name}-{self._started}"
            threading.Thread(target=self._loop, name=name, daemon=True).start()

    def _loop(self) -> None:
        while True:
            work = self._queue.get()
            with self._lock:
                self._waiting -= 1
                self._free -= 1
            for each in (connections.heal, work, connections.heal):
                # In a context of its own: what a body sets must not be seen by the next.
                contextvars.copy_context().run(_survive, each)
            with self._lock:
                if self._started > self._size:
                    self._started -= 1
                    break
                self._free += 1
        connections.close_all()


class EventLoop:
    """One event loop in a thread of its own, started with the first async body."""

    def __init__(self, threads: int) -> None:
        self._threads = Threads(threads, "durably-plain")
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False

    def run(self, coroutine: Coroutine[Any, Any, None], started: Callable[[Work], None]) -> None:
        """Run this as a task; ``started`` is given a function that cancels it from any thread."""
        loop = self._ensure()

        def start() -> None:
            task = loop.create_task(coroutine)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            started(lambda: loop.call_soon_threadsafe(task.cancel))

        tasks = self._tasks
        loop.call_soon_threadsafe(start)

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        """Call a plain function of an async body in a thread, with the body's context variables."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Callable[[], Any]] = loop.create_future()
        context = contextvars.copy_context()

        call = _Call(self._threads)

        def work() -> None:
            result = context.run(_outcome_of, function)
            call.end()
            loop.call_soon_threadsafe(_tell, answer, result)

        self._threads.run(work)
        try:
            return (await answer)()
        except asyncio.CancelledError:
            call.abandon()
            raise

    def close(self) -> None:
        """End the loop and the threads of plain functions."""
        self._threads.close()
        with self._lock:
            if self._loop is not None:
                self._closing = True
                self._loop.call_soon_threadsafe(self._loop.stop)

    def _ensure(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._tasks: set[asyncio.Task[None]] = set()
                threading.Thread(
                    target=self._serve, args=(self._loop,), name="durably-loop", daemon=True
                ).start()
        return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the loop until it is closed: SystemExit in a task would end it for all others."""
        while not self._closing:
            try:
                loop.run_forever()
            except BaseException:
                logger.exception("A task of a body tried to end the event loop, which goes on")
        loop.close()


class _Call:
    """A plain function in a thread, whose caller may be cancelled while it goes on.

    Others must not wait for the thread that it blocks, so as long it does not count.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._over = self._abandoned = False

    def end(self) -> None:
        with self._lock:
            self._over = True
        if self._abandoned:
            self._threads.shrink()

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = not self._over
        if self._abandoned:
            self._threads.grow()


def _nothing() -> None:
    """Wakes a thread, which then sees that it is one too many."""


def _survive(work: Work) -> None:
    """A thread that died would take the work of the next run with it."""
    try:
        work()
    except BaseException:
        logger.exception("A thread for bodies goes on after an error")


def _outcome_of(function: Callable[[], Any]) -> Callable[[], Any]:
    """Call this; what is returned gives its result, or raises its error, to whoever asks.

    A future could not carry every error: it refuses StopIteration.
    """
    try:
        value = function()
    except BaseException as error:
        return partial(_raise, error)
    return lambda: value


def _raise(error: BaseException) -> None:
    raise error


def _tell(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():  # whoever waited may have been cancelled
        answer.set_result(result)
