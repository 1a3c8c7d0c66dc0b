"""The present state of a run, told as the events that a late subscriber needs."""

import uuid
from collections.abc import Iterator

import pytest

from django_durably.models import Event
from django_durably.storage import present
from django_durably.storage.present import Present
from django_durably.wakeups import close_wakeups
from tests.sse.authors import Author, newest_event

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_connections_left() -> Iterator[None]:
    yield
    close_wakeups()


def state_of(author: Author) -> Present:
    state = present.of_run(author.run.pk)
    assert state is not None
    return state


def told(author: Author) -> list[tuple[str, object]]:
    return [(event.type, event.payload) for event in state_of(author).events]


def test_a_run_that_does_not_exist() -> None:
    assert present.of_run(uuid.uuid4()) is None


def test_a_pending_run_has_nothing_to_tell() -> None:
    author = Author({"a": 1})
    assert told(author) == []
    assert state_of(author).event_id == newest_event()


def test_a_leased_run() -> None:
    author = Author({"a": 1}, labels={"org": "1"}).lease()
    assert told(author) == [("run:leased", {"input": {"a": 1}})]
    [event] = state_of(author).events
    assert (event.run_id, event.job_name, event.labels) == (author.run.pk, "echo", {"org": "1"})


def test_a_leased_run_with_progress() -> None:
    author = Author().lease().progress(1, 2, total=3).log("not told")
    progress = {"progress": {"current": 2, "total": 3}}
    assert told(author) == [("run:leased", {"input": {}}), ("run:progress", progress)]
    Author()
    assert state_of(author).event_id == newest_event() - 1


@pytest.mark.parametrize("log", ["there", "purged"])
def test_a_completed_run(log: str) -> None:
    author = Author().lease().complete({"count": 0})
    if log == "purged":
        Event.objects.all().delete()
    [(type_, payload)] = told(author)
    assert type_ == "run:complete"
    assert isinstance(payload, dict)
    assert payload["output"] == {"count": 0}
    assert 0 <= payload["duration"] < 60_000
    assert (state_of(author).event_id == 0) == (log == "purged")


@pytest.mark.parametrize("log", ["there", "purged"])
def test_a_failed_run(log: str) -> None:
    author = Author().lease().fail("no")
    if log == "purged":
        Event.objects.all().delete()
    assert told(author) == [("run:fail", {"error": "no", "failedStepName": "unknown"})]


@pytest.mark.parametrize("log", ["there", "purged"])
def test_a_run_that_failed_in_a_step(log: str) -> None:
    author = Author().lease().fail("too late", step="charge")
    if log == "purged":
        Event.objects.all().delete()
    assert told(author) == [("run:fail", {"error": "too late", "failedStepName": "charge"})]


@pytest.mark.parametrize("log", ["there", "purged"])
def test_a_cancelled_run(log: str) -> None:
    author = Author()
    author.run.cancel()
    if log == "purged":
        Event.objects.all().delete()
    assert told(author) == [("run:cancel", {})]
