"""Very many runs at once, made by the database itself; and how many rows its statements read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from django_durably.storage import database

# The number n, from 1; and n as a UUID of version 7 older than any that is made today.
_SOURCES = {
    "postgresql": (
        "generate_series(1, {count}) AS s(n)",
        "(lpad(to_hex({base} + n), 12, '0') || '70008000000000000000')::uuid",
        "'k' || (n %% {keys})",
    ),
    "sqlite": (
        (
            "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) "
            "SELECT n FROM s) AS s"
        ),
        "printf('%%012x', {base} + n) || '70008000000000000000'",
        "'k' || (n %% {keys})",
    ),
    "mysql": (
        "(SELECT seq AS n FROM seq_1_to_{count}) AS s",
        "CONCAT(LPAD(HEX({base} + n), 12, '0'), '70008000000000000000')",
        "CONCAT('k', n %% {keys})",
    ),
}


@dataclass
class Crowd:
    """Fills the table of runs; every crowd is younger than the one before."""

    created_at: datetime
    _base: int = 0

    def add(self, count: int, job: str, status: str, keys: int = 0) -> None:
        """``count`` runs; with ``keys`` each has one of so many concurrency keys in turn."""
        source, id_, key = (
            part.format(count=count, base=self._base, keys=keys)
            for part in _SOURCES[database.connection().vendor]
        )
        ended = (
            database.adapt_time(self.created_at) if status not in ("pending", "leased") else None
        )
        values: dict[str, Any] = {
            "job_name": job,
            "status": status,
            "labels": "{}",
            "created_at": database.adapt_time(self.created_at),
            "updated_at": database.adapt_time(self.created_at),
            "completed_at": ended,
            "started_at": None if status == "pending" else ended,
            "lease_expires_at": datetime(2999, 1, 1) if status == "leased" else None,  # noqa: DTZ001
            "lease_generation": 0,
            "crashes": 0,
            "current_step_index": 0,
            "completed_step_count": 0,
            "blocked": False,
        }
        database.execute(
            f"INSERT INTO durably_run (id, concurrency_key, {', '.join(values)}) "
            f"SELECT {id_}, {key if keys else 'NULL'}, {database.placeholders(len(values))} "
            f"FROM {source}",
            list(values.values()),
        )
        self._base += count


def analyze() -> None:
    """Lets the database look at what its tables hold, as it does by itself after a while."""
    table = "TABLE " if database.connection().vendor == "mysql" else ""
    with database.connection().cursor() as cursor:
        cursor.execute(f"ANALYZE {table}durably_run")


@dataclass(frozen=True)
class Work:
    """What statements cost: rows and index entries read (on SQLite hundreds of instructions of its
    virtual machine), and how often PostgreSQL read the table of runs from end to end."""

    read: int
    whole_tables: int

    def __sub__(self, before: "Work") -> "Work":
        return Work(self.read - before.read, self.whole_tables - before.whole_tables)


class Meter:
    """Counts the work of this connection; exact, so that no busy machine disturbs it."""

    def __init__(self) -> None:
        self._instructions = 0
        connection = database.connection()
        connection.ensure_connection()
        if connection.vendor == "sqlite":
            connection.connection.set_progress_handler(self._count, 100)

    def read(self) -> Work:
        match database.connection().vendor:
            case "postgresql":
                return self._of_postgresql()
            case "mysql":
                return self._of_mariadb()
        return Work(self._instructions, 0)

    def close(self) -> None:
        connection: BaseDatabaseWrapper = database.connection()
        if connection.vendor == "sqlite":
            connection.connection.set_progress_handler(None, 0)

    def _count(self) -> int:
        self._instructions += 1
        return 0

    def _of_postgresql(self) -> Work:
        database.select("SELECT pg_stat_force_next_flush()")
        ((rows, scans),) = database.select(
            "SELECT sum(seq_tup_read), sum(seq_scan) FROM pg_stat_user_tables "
            "WHERE relname LIKE 'durably_%%'"
        )
        ((entries,),) = database.select(
            "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname LIKE 'durably_%%'"
        )
        return Work(int(rows + entries), int(scans))

    def _of_mariadb(self) -> Work:
        rows = database.select("SHOW SESSION STATUS LIKE 'Handler_read%%'")
        return Work(sum(int(value) for _, value in rows), 0)
