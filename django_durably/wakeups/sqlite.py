"""Waking on SQLite: every commit changes the `data_version` that other connections read.

Reading it costs a few microseconds and no lock that anybody would notice. It says that something
was committed, not what, so a change is a hint at every topic; a checkpoint of the write-ahead log
is one too. See https://www.sqlite.org/pragma.html#pragma_data_version.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Final
from urllib.parse import parse_qsl, urlencode

from django.db import connections

from django_durably.wakeups.carriers import CarriedWakeups, Carrier, join
from django_durably.wakeups.healing import Backoff
from django_durably.wakeups.protocol import TOPICS
from django_durably.wakeups.subscribers import Subscribers

TICK: Final = 0.01
"""Seconds between two readings."""
TICKS_PER_LOOK_AT_FILE: Final = 25
"""After how many readings it looks whether the file is still the one that it has open."""


class SqliteWakeups(CarriedWakeups):
    """Watches the database file of a Django alias, in one thread while anybody listens."""

    def __init__(self, alias: str) -> None:
        super().__init__()
        self._alias = alias

    def _publish(self, topics: frozenset[str]) -> None:
        """Nothing to do: the commit was the hint."""

    def _start_carrier(self) -> Carrier:
        return _Watch(self._alias, self._subscribers)


class _Watch:
    """The thread that reads `data_version`, and opens the file again when it was replaced."""

    def __init__(self, alias: str, subscribers: Subscribers) -> None:
        self._uri = read_only_uri(connections[alias].settings_dict["NAME"])
        self._subscribers = subscribers
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="durably-sqlite-wakeups", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Nothing to do: it looks for new subscribers at every tick."""

    def stop(self) -> None:
        self._stopping.set()
        join(self._thread)

    def _run(self) -> None:
        backoff = Backoff("watching the SQLite file")
        while not self._stopping.is_set():
            try:
                with closing(_connect(self._uri)) as connection:
                    self._watch(connection, backoff)
            except (sqlite3.Error, OSError) as error:
                self._stopping.wait(backoff.failed(error))

    def _watch(self, connection: sqlite3.Connection, backoff: Backoff) -> None:
        """Reads until told to stop, or until the file is another one."""
        path = _path(connection)
        file = _identity(path)
        version = _data_version(connection)
        backoff.succeeded()
        self._subscribers.greet(again=True)
        while _identity(path) == file:
            for _ in range(TICKS_PER_LOOK_AT_FILE):
                if self._stopping.wait(TICK):
                    return
                version = self._look(connection, version)

    def _look(self, connection: sqlite3.Connection, known: int | None) -> int | None:
        version = _data_version(connection)
        if version is None or version == known:
            self._subscribers.greet()
            return known
        self._subscribers.deliver(TOPICS)
        return version


def read_only_uri(name: str | Path) -> str:
    """The URI that opens the file of Django's `NAME` without ever writing or creating it."""
    text = str(name)
    if not text.startswith("file:"):
        return f"{Path(text).absolute().as_uri()}?mode=ro"
    address, _, query = text.partition("?")
    options = {**dict(parse_qsl(query)), "mode": "ro"}
    options.pop("cache", None)
    return f"{address}?{urlencode(options)}"


def _connect(uri: str) -> sqlite3.Connection:
    # No isolation level: a transaction that stays open would see one version for ever.
    return sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)


def _data_version(connection: sqlite3.Connection) -> int | None:
    """The present version, or None while a writer has the file to itself."""
    try:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return None
        raise
    return int(version)


def _path(connection: sqlite3.Connection) -> Path:
    _, _, path = connection.execute("PRAGMA database_list").fetchone()
    return Path(path)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
