"""Reading for streams, in one thread on one connection, however many streams there are.

So a thousand clients that come back at once cost time, but no connections.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")


class Reader:
    """Calls functions that read, one after the other; closes its connection when it is idle."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="durably-stream-reader")
        self._lock = Lock()
        self._asked = 0

    async def read(self, function: Callable[..., T], *args: Any) -> T:
        """What the function returns."""
        with self._lock:
            self._asked += 1
        future = self._executor.submit(function, *args)
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, future: Future[Any]) -> None:
        with self._lock:
            self._asked -= 1
            idle = not self._asked
        if idle:
            self._disconnect()

    def _disconnect(self) -> None:
        with suppress(RuntimeError):  # closed meanwhile
            self._executor.submit(connections.close_all)

    def close(self) -> None:
        """Finish what was asked for, and end."""
        self._disconnect()
        self._executor.shutdown(wait=False)


def let_go_of_databases() -> None:
    """Close this thread's connections: a stream would hold them for as long as it lasts."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # a test's
            connection.close()
