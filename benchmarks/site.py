"""The benchmark's own database: made, emptied, filled with finished runs, dropped."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.core.management import call_command
from django.db import connection

TABLES = (
    "durably_event",
    "durably_logentry",
    "durably_step",
    "durably_runlabel",
    "durably_run",
)
_SUFFIXES = ("", "-wal", "-shm", "-journal")
_CHUNK = 100_000


@contextmanager
def made() -> Iterator[None]:
    """The database of Django's settings, with its tables, for as long as this lasts."""
    _drop()
    _create()
    try:
        call_command("migrate", verbosity=0)
        yield
    finally:
        connection.close()
        _drop()


def _create() -> None:
    if connection.vendor != "sqlite":
        charset = " CHARACTER SET utf8mb4" if connection.vendor == "mysql" else ""
        _on_server(f"CREATE DATABASE {_name()}{charset}")


def _drop() -> None:
    if connection.vendor == "sqlite":
        for suffix in _SUFFIXES:
            with suppress(FileNotFoundError):
                Path(_name() + suffix).unlink()
    else:
        force = " WITH (FORCE)" if connection.vendor == "postgresql" else ""
        _on_server(f"DROP DATABASE IF EXISTS {_name()}{force}")


def _name() -> str:
    return str(connection.settings_dict["NAME"])


def _on_server(sql: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(sql)


def empty() -> None:
    """Delete all runs and what belongs to them."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")
            return
        if connection.vendor == "mysql":
            cursor.execute("SET foreign_key_checks = 0")
        verb = "TRUNCATE TABLE" if connection.vendor == "mysql" else "DELETE FROM"
        for table in TABLES:
            cursor.execute(f"{verb} {table}")
        if connection.vendor == "mysql":
            cursor.execute("SET foreign_key_checks = 1")
        else:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def forget_pending() -> None:
    """Delete the runs that wait; finished ones stay."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM durably_run WHERE status = 'pending'")


def fill(start: int, stop: int) -> None:
    """Add the finished runs of these numbers, of yesterday, each with one step."""
    for first in range(start, stop, _CHUNK):
        _fill(first, min(stop, first + _CHUNK))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")
        elif connection.vendor == "mysql":
            cursor.execute("ANALYZE TABLE durably_run, durably_step")
            cursor.fetchall()


def _fill(start: int, stop: int) -> None:
    dialect = _DIALECTS[connection.vendor]
    words = {key: text.format(start=start, stop=stop) for key, text in dialect.items()}
    words["index"] = connection.ops.quote_name("index")
    with connection.cursor() as cursor:
        for statement in (_RUNS, _STEPS):
            cursor.execute(statement.format(**words))


# Ids are UUIDv7 as the engine makes them, a millisecond apart, the newest of them a day old.
_DIALECTS: dict[str, dict[str, str]] = {
    "postgresql": {
        "series": "generate_series({start}, {stop} - 1) AS s(n)",
        "id": "(lpad(to_hex(1700000000000 + n), 12, '0') || '70008000' || "
        "lpad(to_hex(n), 12, '0'))::uuid",
        "at": "now() - interval '1 day' + n * interval '1 microsecond'",
    },
    "sqlite": {
        "series": "(WITH RECURSIVE s(n) AS (SELECT {start} UNION ALL SELECT n + 1 FROM s "
        "WHERE n < {stop} - 1) SELECT n FROM s)",
        "id": "printf('%012x70008000%012x', 1700000000000 + n, n)",
        "at": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 day')",
    },
    "mysql": {
        "series": "(SELECT seq AS n FROM seq_{start}_to_{stop} WHERE seq < {stop}) AS s",
        "id": "CONCAT(LPAD(HEX(1700000000000 + n), 12, '0'), '70008000', LPAD(HEX(n), 12, '0'))",
        "at": "UTC_TIMESTAMP(6) - INTERVAL 1 DAY",
    },
}
_RUNS = (
    "INSERT INTO durably_run (id, job_name, status, input, output, labels, created_at, updated_at, "
    "started_at, completed_at, current_step_index, completed_step_count, blocked, "
    "lease_generation, crashes) SELECT {id}, 'empty', 'completed', '{{\"i\": 1}}', 'null', '{{}}', "
    "{at}, {at}, {at}, {at}, 1, 1, false, 1, 0 FROM {series}"
)
_STEPS = (
    "INSERT INTO durably_step (run_id, name, {index}, attempt, status, output, started_at, "
    "completed_at, lease_generation, worker) "
    "SELECT {id}, 'step', 0, 1, 'completed', '1', {at}, {at}, 1, 'a worker of yesterday' "
    "FROM {series}"
)
