"""The connection that runs live on, its dialect, and the one place that retries a transaction."""

import functools
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_durably.conf import get_settings

logger = logging.getLogger("django_durably")

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 8
ROWS_PER_STATEMENT = 500

# SQLite takes a partial index only for its own words, which depend on Django's version.
_UNBLOCKED = {
    "postgresql": "NOT blocked",
    "sqlite": "NOT blocked AND blocked = 0",
    "mysql": "blocked = 0",
}
BLOCKED = {"postgresql": "blocked", "sqlite": "blocked AND blocked = 1", "mysql": "blocked = 1"}

_TRANSIENT_SQLSTATES = {"40001", "40P01"}
_MYSQL_LOCK_TIMEOUT = 1205
# The server shuts down, starts, or has no place for one more connection.
_DISCONNECT_SQLSTATES = {"57P01", "57P02", "57P03", "57P05", "53300"}
_DISCONNECT_MYSQL_CODES = {
    *(0, 1040, 1053, 1152, 1158, 1159, 1160, 1161, 1927),
    *(2002, 2003, 2006, 2013, 2055),
}
_TRANSIENT_MYSQL_CODES = {1020, _MYSQL_LOCK_TIMEOUT, 1213}

# Before a statement, on MariaDB alone: it fails at once where it would wait for a lock.
NEVER_WAIT = "SET STATEMENT innodb_lock_wait_timeout=0 FOR "


def connection() -> BaseDatabaseWrapper:
    """This thread's connection to the database that holds the runs."""
    return connections[get_settings().database]


def atomic() -> transaction.Atomic:
    return transaction.atomic(using=get_settings().database)


def retrying(function: Callable[P, T]) -> Callable[P, T]:
    """Run a storage function again when the database asks for it.

    Deadlocks, serialisation failures and a locked SQLite file are the database's way to say
    "again, please". Inside a caller's transaction only the caller can do that.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(1, ATTEMPTS):
            if connection().in_atomic_block:
                break
            try:
                return function(*args, **kwargs)
            except OperationalError as error:
                if not is_transient(error):
                    raise
                logger.debug("%s: %s, attempt %d", function.__name__, error, attempt)
                time.sleep(random.uniform(0, 0.005 * 2**attempt))
        return function(*args, **kwargs)

    return wrapper


def is_transient(error: Exception) -> bool:
    """True when the same transaction may succeed if it is simply run again."""
    cause = error.__cause__
    if getattr(cause, "sqlstate", None) in _TRANSIENT_SQLSTATES:
        return True
    if cause is not None and cause.args and cause.args[0] in _TRANSIENT_MYSQL_CODES:
        return True
    return "database is locked" in str(error) or "database table is locked" in str(error)


def is_disconnect(error: Exception) -> bool:
    """True when the connection broke, or could not be made: nobody refused anything.

    The connection itself does not tell: Django may have replaced it when the transaction ended.
    """
    cause = error.__cause__
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    if cause is None or connection().vendor == "sqlite":
        return isinstance(error, InterfaceError)
    if connection().vendor == "postgresql":
        sqlstate = getattr(cause, "sqlstate", None)
        return sqlstate is None or sqlstate[:2] == "08" or sqlstate in _DISCONNECT_SQLSTATES
    return not cause.args or cause.args[0] in _DISCONNECT_MYSQL_CODES


def is_lock_timeout(error: Exception) -> bool:
    """True when a statement gave up waiting for a lock on MariaDB; its transaction lives on."""
    cause = error.__cause__
    return bool(cause is not None and cause.args and cause.args[0] == _MYSQL_LOCK_TIMEOUT)


def skip_locked() -> str:
    """The suffix that locks rows and passes over those that others hold ("" on SQLite)."""
    if connection().features.has_select_for_update_skip_locked:
        return " FOR UPDATE SKIP LOCKED"
    return ""


def using_index(name: str) -> str:
    """The words after a table in a read that locks, "" but for MariaDB: it locks every row that it
    looks at on the way, if only for a moment, in which others pass over rows that are free."""
    return f"FORCE INDEX ({name}) " if connection().vendor == "mysql" else ""


def claimable(found_by_id: bool = False) -> str:
    """The condition of a run that a claim may take, in the words of the partial index.

    Not so for runs found by their ids: see `still`.
    """
    unblocked = _UNBLOCKED[connection().vendor]
    pending = still("pending") if found_by_id else "status = 'pending'"
    return f"{pending} AND {unblocked}"


def still(status: str) -> str:
    """The condition that runs found by their ids are in this status, in words of no partial index.

    A planner with old statistics takes it for cheaper to walk through all of such an index than to
    look up a few ids: measured, 20,000 rows read for ten.
    """
    return f"COALESCE(status, '') = '{status}'"


def adapt_id(run_id: UUID) -> UUID | str:
    return (
        run_id if connection().features.has_native_uuid_field and _is_postgresql() else run_id.hex
    )


def adapt_time(value: datetime | None) -> Any:
    return connection().ops.adapt_datetimefield_value(value) if value is not None else None


def read_id(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _is_postgresql() -> bool:
    return connection().vendor == "postgresql"


def placeholders(count: int) -> str:
    return ", ".join(["%s"] * count)


def select(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection().cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def execute(sql: str, parameters: Sequence[Any] = ()) -> int:
    """Execute one statement and return the number of rows it matched."""
    with connection().cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


def execute_many(sql: str, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        with connection().cursor() as cursor:
            cursor.executemany(sql, rows)


def insert(
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    suffix: str = "",
) -> list[Any]:
    """Insert rows with as few statements as possible.

    ``suffix`` follows the values; when it returns a column, its values come back.
    """
    returned: list[Any] = []
    with connection().cursor() as cursor:
        for chunk in chunked(rows, ROWS_PER_STATEMENT):
            row = f"({placeholders(len(columns))})"
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(map(_quoted, columns))}) "
                f"VALUES {', '.join([row] * len(chunk))} {suffix}",
                [value for values in chunk for value in values],
            )
            if "RETURNING" in suffix:
                returned += [values[0] for values in cursor.fetchall()]
    return returned


def _quoted(column: str) -> str:
    # "key" and "index" are reserved words on some of the databases.
    return connection().ops.quote_name(column)


def chunked(rows: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (rows[at : at + size] for at in range(0, len(rows), size))
