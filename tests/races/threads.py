"""Races made on purpose: acts that begin together, stop between two statements, or hold a row."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from django.db import connections

from django_durably.storage import database
from tests.support.waiting import eventually

T = TypeVar("T")

PATIENCE = 30


def at_once(*acts: Callable[[], T]) -> list[T]:
    """The results of these acts, each in its own thread and connection, begun at one barrier.

    Raises the first error of any of them.
    """
    barrier = Barrier(len(acts))

    def run(act: Callable[[], T]) -> T:
        try:
            barrier.wait(PATIENCE)
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        futures = [pool.submit(run, act) for act in acts]
        return [future.result(PATIENCE) for future in futures]


class Background(Generic[T]):
    """An act in a thread and connection of its own. With ``before`` it stops there: in front of
    its first statement that holds this text, until told to go on."""

    def __init__(self, act: Callable[[], T], before: str | None = None) -> None:
        self._act = act
        self._before = before
        self._stopped, self._may_go_on = Event(), Event()
        self._pool = ThreadPoolExecutor(1)
        self._future: Future[T]

    def __enter__(self) -> Self:
        self._future = self._pool.submit(self._run)
        if self._before is not None:
            eventually(lambda: self._stopped.is_set() or self._future.done(), PATIENCE)
            if not self._stopped.is_set():
                raise AssertionError(f"no statement with {self._before!r}: {self._future!r}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._may_go_on.set()
        self._pool.shutdown()

    def go_on(self) -> T:
        """Lets it end, and returns its result."""
        self._may_go_on.set()
        return self._future.result(PATIENCE)

    def _run(self) -> T:
        try:
            with database.connection().execute_wrapper(self._stop):
                return self._act()
        finally:
            connections.close_all()

    def _stop(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self._before is not None and self._before in sql and not self._stopped.is_set():
            self._stopped.set()
            assert self._may_go_on.wait(PATIENCE)
        return execute(sql, params, many, context)


@contextmanager
def rows_held_elsewhere(*run_ids: UUID) -> Iterator[None]:
    """Another connection holds the locks of these runs' rows."""
    other = database.connection().copy()
    other.inc_thread_sharing()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            for run_id in run_ids:
                cursor.execute(
                    "SELECT id FROM durably_run WHERE id = %s FOR UPDATE",
                    [database.adapt_id(run_id)],
                )
                assert cursor.fetchall()
        yield
    finally:
        other.rollback()
        other.close()


@contextmanager
def impatient() -> Iterator[None]:
    """A statement of this connection that would wait for a lock fails instead."""
    vendor = database.connection().vendor
    on, off = {
        "postgresql": ("SET lock_timeout = '500ms'", "SET lock_timeout = 0"),
        "mysql": (
            "SET SESSION innodb_lock_wait_timeout = 1",
            "SET SESSION innodb_lock_wait_timeout = DEFAULT",
        ),
    }[vendor]
    with database.connection().cursor() as cursor:
        cursor.execute(on)
        try:
            yield
        finally:
            cursor.execute(off)


_WAITERS = {
    "postgresql": "SELECT count(*) FROM pg_locks AS waited JOIN pg_locks AS held USING (pid) "
    "JOIN pg_database AS d ON d.oid = held.database "
    "WHERE NOT waited.granted AND held.granted AND d.datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx AS t "
    "JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id "
    "WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()",
}


def until_somebody_waits_for_a_lock() -> None:
    """On SQLite nobody can see it; there whoever comes second waits for the whole file."""
    if sql := _WAITERS.get(database.connection().vendor):
        eventually(lambda: database.select(sql) != [(0,)], PATIENCE, "nobody waits for a lock")
