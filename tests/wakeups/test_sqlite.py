"""What only SQLite does: a file that is watched, and may go away."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connections

from django_durably.wakeups import RUNS
from django_durably.wakeups.sqlite import SqliteWakeups, read_only_uri
from tests.support.waiting import eventually
from tests.wakeups.hearing import Ear, listening

JOURNALS = ("wal", "delete")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of an alias that only this test has."""
    path = tmp_path / "a name, with % and ?.sqlite3"
    settings = {**connections.settings["default"], "NAME": path}
    monkeypatch.setitem(connections.settings, "watched", settings)
    yield path
    del connections["watched"]


@pytest.fixture
def wakeups(file: Path) -> Iterator[SqliteWakeups]:
    wakeups = SqliteWakeups("watched")
    yield wakeups
    wakeups.close()


@pytest.fixture(params=JOURNALS)
def writer(request: pytest.FixtureRequest, file: Path) -> Iterator[sqlite3.Connection]:
    with closing(create(file, request.param)) as connection:
        yield connection


def create(file: Path, journal: str = "wal") -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={journal}")
    connection.execute("CREATE TABLE thing (value)")
    return connection


def write(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO thing VALUES (1)")


def test_a_commit_is_heard(wakeups: SqliteWakeups, writer: sqlite3.Connection) -> None:
    with listening(wakeups) as ear:
        for _ in range(3):
            ear.hears(RUNS, lambda: write(writer), timeout=1)


def test_a_commit_is_heard_that_others_wait_for(
    wakeups: SqliteWakeups, writer: sqlite3.Connection
) -> None:
    with listening(wakeups, [RUNS]) as ear:
        writer.execute("BEGIN EXCLUSIVE")
        write(writer)
        ear.hears(RUNS, lambda: writer.execute("COMMIT"))


def test_a_rollback_is_not_heard(wakeups: SqliteWakeups, writer: sqlite3.Connection) -> None:
    with listening(wakeups, [RUNS]) as ear, listening(wakeups, [RUNS]):
        before = ear.calls[RUNS]
        writer.execute("BEGIN IMMEDIATE")
        write(writer)
        writer.execute("ROLLBACK")
        # The greeting of one more listener takes a whole tick: a change would have been seen.
        with listening(wakeups, [RUNS]):
            assert ear.calls[RUNS] == before


def test_watching_neither_locks_nor_writes(
    wakeups: SqliteWakeups, writer: sqlite3.Connection, file: Path
) -> None:
    writer.execute("PRAGMA busy_timeout=0")
    content = file.read_bytes()
    with listening(wakeups) as ear:
        assert file.read_bytes() == content
        for _ in range(20):
            ear.hears(RUNS, lambda: write(writer))


def test_a_file_that_is_not_there_is_not_created(
    wakeups: SqliteWakeups, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    listener = wakeups.listen(ear)
    eventually(lambda: "watching the SQLite file failed" in caplog.text)
    assert not file.exists()

    with closing(create(file)) as writer:
        eventually(lambda: ear.calls[RUNS])
        ear.hears(RUNS, lambda: write(writer))
    listener.close()


def test_a_file_that_was_replaced_is_watched(wakeups: SqliteWakeups, file: Path) -> None:
    old = create(file)
    with listening(wakeups) as ear:
        old.close()
        for path in file.parent.iterdir():
            path.unlink()
        with closing(create(file)) as writer:
            ear.hears(RUNS, lambda: None)
            ear.hears(RUNS, lambda: write(writer), timeout=1)


def test_a_file_that_is_deleted_stays_deleted(
    wakeups: SqliteWakeups, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    create(file, "delete").close()
    with listening(wakeups):
        file.unlink()
        eventually(lambda: "watching the SQLite file failed" in caplog.text)
        assert not file.exists()


def test_an_empty_file_is_watched(wakeups: SqliteWakeups, file: Path) -> None:
    file.touch()
    with listening(wakeups) as ear:
        assert file.stat().st_size == 0
        ear.hears(RUNS, lambda: create(file).close())


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("/data/db.sqlite3", "file:///data/db.sqlite3?mode=ro"),
        (Path("/data/db.sqlite3"), "file:///data/db.sqlite3?mode=ro"),
        ("/data/100% ?.db", "file:///data/100%25%20%3F.db?mode=ro"),
        ("file:/data/db?mode=rwc&cache=shared", "file:/data/db?mode=ro"),
        ("file:db?vfs=unix-none", "file:db?vfs=unix-none&mode=ro"),
    ],
)
def test_the_uri_opens_the_file_for_reading_only(name: str | Path, uri: str) -> None:
    assert read_only_uri(name) == uri
