"""``run.events()``: the present state, then what happens, until the run has ended."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection

from django_durably import clock, events
from django_durably.exceptions import NotFoundError, WaitTimeout
from django_durably.models import Event, Run
from django_durably.storage import events as log
from django_durably.wakeups import close_wakeups
from tests.sse.authors import Author, in_loop, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_connections_left() -> Iterator[None]:
    yield
    close_wakeups()


def types(found: list[events.Event]) -> list[str]:
    return [str(event.type) for event in found]


def in_other_thread(work: object) -> threading.Thread:
    def run() -> None:
        try:
            work()  # type: ignore[operator]
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_run_is_followed_from_its_beginning_to_its_end() -> None:
    author = Author({"a": 1}, labels={"org": "1"}).lease()
    following = author.run.events(timeout=20)
    found = [next(following)]
    writing = in_other_thread(lambda: author.progress(1, total=2).log("x").complete())
    found += following
    writing.join()
    assert types(found) == ["run:leased", "run:progress", "log:write", "run:complete"]
    first = found[0]
    assert first.run_id == author.run.pk
    assert (first.job_name, first.labels, first.payload) == (
        "echo",
        {"org": "1"},
        {"input": {"a": 1}},
    )
    assert found[1].payload == {"progress": {"current": 1, "total": 2}}
    assert [event.sequence for event in found] == sorted({event.sequence for event in found})
    assert not events.is_domain_event(found[0])
    assert events.is_domain_event(found[-1])


@in_loop
async def test_the_async_twin() -> None:
    author = await in_thread(lambda: Author().lease())
    found = []
    async for event in author.run.aevents(timeout=20):
        found.append(event)
        if event.type == "run:leased":
            await in_thread(lambda: author.log("x").complete())
    assert types(found) == ["run:leased", "log:write", "run:complete"]


def test_a_late_follower_gets_the_present_state() -> None:
    author = Author().lease().progress(1, 2).log("before")
    following = author.run.events(timeout=20)
    assert types([next(following), next(following)]) == ["run:leased", "run:progress"]
    author.log("after").complete()
    assert types(list(following)) == ["log:write", "run:complete"]


def test_a_finished_run_has_one_event() -> None:
    author = Author().lease().log("x").fail("no")
    [event] = author.run.events()
    assert event.type == "run:fail"
    assert event.payload == {"error": "no", "failedStepName": "unknown"}


def test_a_follower_goes_on_after_an_event_that_it_knows() -> None:
    author = Author().lease().log("1")
    following = author.run.events(timeout=20)
    known = next(following).sequence
    following.close()  # type: ignore[attr-defined]
    author.log("2").complete()
    found = list(author.run.events(after=known, timeout=20))
    assert types(found) == ["log:write", "run:complete"]
    assert list(author.run.events(after=found[-1].sequence, timeout=20)) == []


def test_one_whose_event_the_log_has_no_more_gets_the_present_state() -> None:
    author = Author().lease().log("1")
    known = author.run.events(timeout=20)
    first = next(known).sequence
    with clock.shift(timedelta(hours=2)):
        author.log("2").complete()
        log.purge(timedelta(hours=1))
    Event.objects.filter(payload__message="2").delete()
    assert types(list(author.run.events(after=first - 5))) == ["run:complete"]
    known.close()  # type: ignore[attr-defined]


def test_a_run_without_any_recorded_events_is_followed_too() -> None:
    author = Author().lease()
    Event.objects.all().delete()
    following = author.run.events(timeout=20)
    assert types([next(following)]) == ["run:leased"]
    author.complete()
    assert types(list(following)) == ["run:complete"]


def test_time_may_be_over() -> None:
    author = Author().lease()
    following = author.run.events(timeout=0.05)
    next(following)
    with pytest.raises(WaitTimeout, match="is still"):
        next(following)


def test_a_run_may_be_gone() -> None:
    author = Author().lease()
    following = author.run.events(timeout=20)
    next(following)
    Run.objects.filter(pk=author.run.pk).delete()
    with pytest.raises(NotFoundError):
        next(following)
    with pytest.raises(NotFoundError):
        next(author.run.events())
