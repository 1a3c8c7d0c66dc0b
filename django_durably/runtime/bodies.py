"""Where bodies execute: ``def`` bodies in threads, ``async def`` bodies on one event loop."""

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from django_durably.runtime import connections

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
        self._idle = 0
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()

    def run(self, work: Work) -> None:
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif self._started < self._size:
                self._started += 1
                name = f"{self._name}-{self._started}"
                threading.Thread(target=self._loop, name=name, daemon=True).start()
        self._queue.put(work)

    def _loop(self) -> None:
        while True:
            work = self._queue.get()
            connections.heal()
            try:
                work()
            finally:
                connections.heal()
                with self._lock:
                    self._idle += 1


class EventLoop:
    """One event loop in a thread of its own, started with the first async body."""

    def __init__(self, threads: int) -> None:
        self._threads = Threads(threads, "durably-plain")
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

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

        def work() -> None:
            result = context.run(_outcome_of, function)
            loop.call_soon_threadsafe(_tell, answer, result)

        self._threads.run(work)
        return (await answer)()

    def _ensure(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._tasks: set[asyncio.Task[None]] = set()
                threading.Thread(
                    target=self._loop.run_forever, name="durably-loop", daemon=True
                ).start()
        return self._loop


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
