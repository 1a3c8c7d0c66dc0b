"""Real refusals that the database wants tried again, through `retrying`."""

from threading import Barrier, BrokenBarrierError

import pytest
from django.db import connections

from django_durably.models import Run
from django_durably.storage import database
from tests.races.threads import PATIENCE, at_once
from tests.storage.making import pending, stored
from tests.support import databases

on_sqlite = databases.chosen() == "sqlite"


@pytest.mark.skipif(on_sqlite, reason="SQLite has one writer at a time")
def test_a_deadlock_is_tried_again() -> None:
    first, second = pending(), pending()
    both_hold_one = Barrier(2)
    attempts: list[str] = []

    @database.retrying
    def raise_crashes(name: str, runs: tuple[Run, Run]) -> None:
        attempts.append(name)
        with database.atomic():
            for run in runs:
                database.execute(
                    "UPDATE durably_run SET crashes = crashes + 1 WHERE id = %s",
                    [database.adapt_id(run.pk)],
                )
                if run is runs[0] and attempts.count(name) == 1:
                    both_hold_one.wait(PATIENCE)

    at_once(
        lambda: raise_crashes("forth", (first, second)),
        lambda: raise_crashes("back", (second, first)),
    )
    assert sorted(attempts) in (["back", "back", "forth"], ["back", "forth", "forth"])
    assert [stored(run).crashes for run in (first, second)] == [2, 2]


@pytest.mark.skipif(not on_sqlite, reason="only SQLite locks the whole file")
def test_a_locked_file_is_tried_again() -> None:
    run = pending()
    attempts = 0
    other = database.connection().copy()
    other.set_autocommit(False)
    other.cursor().execute("UPDATE durably_run SET crashes = 1")
    database.execute("PRAGMA busy_timeout = 1")

    @database.retrying
    def change() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 3:
            other.rollback()
        with database.atomic():
            database.execute("UPDATE durably_run SET crashes = 7")

    try:
        change()
    finally:
        other.close()
        connections.close_all()
    assert (attempts, stored(run).crashes) == (3, 7)


def test_a_lost_race_that_is_no_deadlock_is_not_tried_again() -> None:
    """A barrier that breaks is an error of the code's own: it comes out at once."""
    attempts = 0

    @database.retrying
    def fail() -> None:
        nonlocal attempts
        attempts += 1
        with database.atomic():
            raise BrokenBarrierError

    with pytest.raises(BrokenBarrierError):
        fail()
    assert attempts == 1
