"""Races need committed rows and several connections: no test's transaction around them."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from django_durably.models import Event, LogEntry, Run, RunLabel, Step
from django_durably.storage import database


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """In the place of pytest-django's own, and cheaper: deleting a handful of rows takes a fraction
    of the time in which its flush truncates every table of the project."""
    with django_db_blocker.unblock():
        yield
        for model in (Event, LogEntry, Step, RunLabel, Run):
            database.execute(f"DELETE FROM {model._meta.db_table}")
