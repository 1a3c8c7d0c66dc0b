"""Reading the event log after a cursor, also when transactions commit out of order."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from django_durably import clock
from django_durably.models import Event, Run
from django_durably.storage import events
from django_durably.storage.cursors import Cursor
from django_durably.storage.events import Snapshot
from django_durably.wakeups import close_wakeups
from tests.sse.authors import Author, late_event, newest_event
from tests.support.databases import chosen
from tests.testapp.jobs import echo

out_of_order = pytest.mark.skipif(chosen() == "sqlite", reason="SQLite has one writer at a time")


@pytest.fixture(autouse=True)
def _no_connections_left() -> Iterator[None]:
    yield
    close_wakeups()


def trigger(**options: Any) -> Run:
    return echo.trigger({}, **options)


def ids(found: list[events.RecordedEvent]) -> list[int]:
    return [event.id for event in found]


@pytest.mark.django_db
def test_it_reads_what_comes_after_the_cursor_page_by_page() -> None:
    start = Cursor(newest_event())
    runs = [trigger(labels={"number": str(number)}) for number in range(3)]
    found = events.read_after(start, 2)
    assert [event.run_id for event in found] == [run.pk for run in runs[:2]]
    assert found[0].type == "run:trigger"
    assert found[0].payload == {"input": {}}
    assert found[0].labels == {"number": "0"}
    assert ids(events.read_after(Cursor(found[-1].id), 10)) == [newest_event()]


@pytest.mark.django_db
def test_it_reads_what_is_awaited_first() -> None:
    trigger()
    first = newest_event()
    trigger()
    assert ids(events.read_after(Cursor(first, frozenset({first})), 10)) == [first, first + 1]
    assert ids(events.read_after(Cursor(first + 5, frozenset({first})), 10)) == [first]


@pytest.mark.django_db
def test_it_reads_one_run_and_only_what_another_cursor_has_seen() -> None:
    start = Cursor(newest_event())
    run = trigger()
    trigger()
    [wanted] = events.read_after(start, 10, run_id=run.pk)
    assert wanted.run_id == run.pk
    both = newest_event()
    assert ids(events.read_after(start, 10, up_to=Cursor(both))) == [both - 1, both]
    assert ids(events.read_after(start, 10, up_to=Cursor(both, frozenset({wanted.id})))) == [both]
    assert ids(events.read_after(start, 10, up_to=start)) == []


@out_of_order
@pytest.mark.django_db(transaction=True)
def test_an_event_that_commits_late_is_read_when_it_is_there() -> None:
    run = trigger()
    with late_event(run, "log:write") as late:
        trigger()
        cursor = events.present_cursor()
        assert late.id in cursor.awaited
        assert events.read_after(cursor, 10) == []
        late.commit()
    assert ids(events.read_after(cursor, 10)) == [late.id]


@pytest.mark.django_db(transaction=True)
def test_a_new_reader_awaits_what_is_missing_unless_ids_come_in_order() -> None:
    trigger()
    trigger()
    missing = newest_event()
    trigger()
    Event.objects.filter(pk=missing).delete()
    trigger()
    awaits = missing in events.present_cursor().awaited
    assert awaits == events.commits_out_of_order() == (chosen() != "sqlite")


@pytest.mark.django_db
def test_a_cursor_can_be_resumed_while_all_after_it_is_there() -> None:
    Event.objects.all().delete()
    assert events.bounds() is None
    assert not events.can_resume(Cursor(1))
    for _ in range(4):
        trigger()
    last = newest_event()
    Event.objects.filter(pk=last - 3).delete()
    assert events.bounds() == (last - 2, last)
    can = {id: events.can_resume(Cursor(id)) for id in range(last - 4, last + 2)}
    assert [id for id in can if can[id]] == [last - 3, last - 2, last - 1, last]


@pytest.mark.django_db
def test_an_empty_log_begins_at_zero() -> None:
    Event.objects.all().delete()
    assert events.present_cursor() == Cursor(0)


@pytest.mark.skipif(chosen() != "postgresql", reason="only PostgreSQL tells")
@pytest.mark.django_db(transaction=True)
def test_postgresql_tells_which_transactions_are_over() -> None:
    run = trigger()
    with late_event(run, "log:write") as late:
        before = events.snapshot()
        assert before is not None
        trigger()
        during = events.snapshot()
        assert during is not None
        assert during.first_open < during.next
        late.commit()
    after = events.snapshot()
    assert isinstance(after, Snapshot)
    assert after.first_open >= before.next


@pytest.mark.skipif(chosen() == "postgresql", reason="PostgreSQL tells")
@pytest.mark.django_db
def test_other_databases_do_not_tell() -> None:
    assert events.snapshot() is None


@pytest.mark.django_db(transaction=True)
def test_a_purge_leaves_the_newest_event_by_which_cursors_are_judged() -> None:
    Author().lease().progress(1, 2, 3).complete()
    newest = newest_event()
    with clock.shift(timedelta(hours=2)):
        assert events.purge(timedelta(hours=1)) > 3
    assert events.bounds() == (newest, newest)
    assert events.can_resume(Cursor(newest))
    assert not events.can_resume(Cursor(newest - 2))


@pytest.mark.django_db(transaction=True)
def test_ids_are_not_given_out_again_after_a_purge() -> None:
    trigger()
    newest = newest_event()
    Event.objects.all().delete()
    connection.close()
    trigger()
    assert newest_event() > newest
