"""Where bodies execute: ``def`` bodies in threads, ``async def`` bodies on one event loop."""

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django_durably.runtime import connections

Work = Callable[[], object]


class Threads:
    """At most ``size`` daemon threads, started when they are first needed.

    Daemon threads, because a blocked body must not keep the process from ending: threads cannot
    be killed, and the interpreter would wait for those of an ordinary pool.
    """

    def __init__(self, size: int) -> None:
        self._size = size
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
                name = f"durably-body-{self._started}"
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
        self._threads = threads
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor: ThreadPoolExecutor | None = None

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
        assert self._loop is not None
        context = contextvars.copy_context()
        return await self._loop.run_in_executor(self._executor, context.run, _healed, function)

    def _ensure(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._tasks: set[asyncio.Task[None]] = set()
                self._executor = ThreadPoolExecutor(self._threads, "durably-plain")
                threading.Thread(
                    target=self._loop.run_forever, name="durably-loop", daemon=True
                ).start()
        return self._loop


def _healed(function: Callable[[], Any]) -> Any:
    connections.heal()
    try:
        return function()
    finally:
        connections.heal()
