"""What the machine itself can do: the same database through the bare driver, no Durably, no Django.

One connection, one client, a commit each time; the rates are what the engine is measured against.
"""

import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection

Execute = Callable[[int], object]

_COMMIT = "INSERT INTO durably_benchmark (a, b) VALUES ({p}, {p})"
_RUN = (
    "INSERT INTO durably_run (id, job_name, status, input, labels, created_at, updated_at, "
    "current_step_index, completed_step_count, blocked, lease_generation, crashes) "
    "VALUES ({p}, 'empty', 'pending', {p}, '{{}}', {p}, {p}, 0, 0, {false}, 0, 0)"
)
_EVENT = (
    "INSERT INTO durably_event (run_id, job_name, type, payload, labels, created_at) "
    "VALUES ({p}, 'empty', 'run:trigger', {p}, '{{}}', {p})"
)


def make_table() -> None:
    """The table of plain commits."""
    key = {
        "postgresql": "bigserial PRIMARY KEY",
        "mysql": "bigint AUTO_INCREMENT PRIMARY KEY",
        "sqlite": "integer PRIMARY KEY",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE durably_benchmark (id {key}, a varchar(40), b varchar(100))")


def commits_per_second(seconds: float) -> float:
    """Small inserts into a table of two columns, each its own commit."""
    with closing(_connect()) as link:
        return _rate(_plain_insert(link), seconds)


def runs_per_second(seconds: float) -> float:
    """A run and its event, inserted into the engine's own tables, both in one commit."""
    with closing(_connect()) as link:
        return _rate(_run_and_event(link), seconds)


def _rate(execute: Execute, seconds: float) -> float:
    for number in range(10):
        execute(number)
    begin, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - begin) < seconds:
        execute(count)
        count += 1
    return count / passed


def _connect() -> Any:
    if connection.vendor == "postgresql":
        import psycopg

        return psycopg.connect(**_server(), dbname=_name(), autocommit=True)
    if connection.vendor == "mysql":
        import MySQLdb

        return MySQLdb.connect(**_server(), database=_name(), autocommit=True)
    link = sqlite3.connect(_name(), isolation_level=None)
    link.executescript(settings.DATABASES["default"]["OPTIONS"]["init_command"])
    return link


def _name() -> str:
    return str(connection.settings_dict["NAME"])


def _server() -> dict[str, Any]:
    values = connection.settings_dict
    found = {
        "host": values["HOST"],
        "port": int(values["PORT"] or 0),
        "user": values["USER"],
        "password": values["PASSWORD"],
    }
    return {key: value for key, value in found.items() if value}


def _plain_insert(link: Any) -> Execute:
    cursor, sql = link.cursor(), _COMMIT.format(p=_placeholder())
    return lambda number: cursor.execute(sql, (f"run-{number}", "x" * 100))


def _run_and_event(link: Any) -> Execute:
    cursor = link.cursor()
    words = {"p": _placeholder(), "false": "0" if connection.vendor == "mysql" else "false"}
    run, event = _RUN.format(**words), _EVENT.format(**words)

    def in_one_statement(number: int) -> None:
        cursor.execute(f"WITH r AS ({run}) {event}", _values(number))

    def in_one_transaction(number: int) -> None:
        values = _values(number)
        cursor.execute(begin)
        cursor.execute(run, values[:4])
        cursor.execute(event, values[4:])
        cursor.execute("COMMIT")

    begin = "BEGIN IMMEDIATE" if connection.vendor == "sqlite" else "START TRANSACTION"
    return in_one_statement if connection.vendor == "postgresql" else in_one_transaction


def _values(number: int) -> tuple[object, ...]:
    run_id = uuid.uuid4()
    id_ = run_id if connection.vendor == "postgresql" else run_id.hex
    now = datetime.now(UTC)
    at = now if connection.vendor == "postgresql" else now.replace(tzinfo=None).isoformat(" ")
    text = f'{{"i": {number}}}'
    return (id_, text, at, at, id_, f'{{"input": {text}}}', at)


def _placeholder() -> str:
    return "?" if connection.vendor == "sqlite" else "%s"
