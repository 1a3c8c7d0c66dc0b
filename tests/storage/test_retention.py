"""Purging runs that ended long ago, and events that no stream needs any more."""

from datetime import timedelta

import pytest

from django_durably import clock
from django_durably.models import Event, LogEntry, Run, RunLabel, Step
from django_durably.models.run import TERMINAL
from django_durably.storage import events, retention
from tests.storage.making import (
    completed,
    end_long_ago,
    enqueued,
    event_types,
    ids,
    leased,
    log,
    pending,
    request,
    settle,
    step,
    stored,
)

pytestmark = pytest.mark.django_db

MONTH = timedelta(days=30)


def old_run(ago: timedelta = MONTH * 2, status: str = "completed", job: str = "a") -> Run:
    run = pending(job, labels={"n": "1"})
    end_long_ago(run, status=status, ago=ago)
    return run


class TestRuns:
    def test_terminal_runs_that_ended_longer_ago_go(self) -> None:
        for status in TERMINAL:
            old_run(status=status)
        young, waiting, executing = old_run(timedelta(days=29)), pending(), leased()
        assert Run.objects.all().purge(older_than=MONTH) == 3
        assert {*Run.objects.all()} == {young, waiting, stored(executing)}

    def test_active_runs_stay_however_old(self) -> None:
        waiting, executing = pending(), leased()
        Run.objects.update(created_at=clock.now() - MONTH * 9, updated_at=clock.now() - MONTH * 9)
        assert Run.objects.all().purge(older_than=MONTH) == 0
        assert {*Run.objects.all()} == {waiting, stored(executing)}

    def test_takes_steps_logs_and_labels_but_no_events(self) -> None:
        lease = leased(labels={"n": "1"})
        settle(step(lease), log(lease, "x"), completed(lease))
        end_long_ago(stored(lease), ago=MONTH * 2)
        assert Run.objects.all().purge(older_than=MONTH) == 1
        assert [m.objects.count() for m in (Step, LogEntry, RunLabel)] == [0, 0, 0]
        assert event_types(lease) == ["run:trigger", "run:leased", "run:complete"]

    def test_sends_no_events(self) -> None:
        old_run()
        before = Event.objects.count()
        Run.objects.all().purge(older_than=MONTH)
        assert Event.objects.count() == before

    def test_the_oldest_go_first_whatever_their_status(self) -> None:
        runs = [
            old_run(MONTH * (9 - n), status=("failed", "completed", "cancelled")[n % 3])
            for n in range(7)
        ]
        assert Run.objects.all().purge(older_than=MONTH, limit=4) == 4
        assert {*Run.objects.all()} == {*runs[4:]}
        assert Run.objects.all().purge(older_than=MONTH, limit=4) == 3

    def test_goes_on_batch_by_batch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retention, "_BATCH", 10)
        runs = enqueued(*[request("a", n) for n in range(35)])
        end_long_ago(*runs, ago=MONTH * 2)
        assert Run.objects.all().purge(older_than=MONTH, limit=25) == 25
        assert Run.objects.all().purge(older_than=MONTH) == 10
        assert Run.objects.count() == 0

    def test_a_limit_of_none_of_them(self) -> None:
        old_run()
        assert Run.objects.all().purge(older_than=MONTH, limit=0) == 0
        assert Run.objects.count() == 1

    def test_only_those_of_the_queryset(self) -> None:
        mine, other = old_run(job="a"), old_run(job="b")
        assert Run.objects.for_job("a").with_labels(n="1").purge(older_than=MONTH) == 1
        assert [*Run.objects.all()] == [other]
        assert not Run.objects.filter(pk=mine.pk).exists()


class TestEvents:
    def test_old_ones_go_and_their_runs_stay(self) -> None:
        old, young = pending(), pending()
        Event.objects.filter(run_id=old.pk).update(created_at=clock.now() - timedelta(hours=2))
        assert events.purge(timedelta(hours=1)) == 1
        assert [event.run_id for event in Event.objects.all()] == [young.pk]
        assert {*ids([*Run.objects.all()])} == {old.pk, young.pk}

    def test_at_most_so_many_at_once_the_oldest_first(self) -> None:
        runs = enqueued(*[request("a", n) for n in range(5)])
        for n, run in enumerate(runs):
            ago = timedelta(hours=9 - n)
            Event.objects.filter(run_id=run.pk).update(created_at=clock.now() - ago)
        assert events.purge(timedelta(hours=1), limit=3) == 3
        assert {event.run_id for event in Event.objects.all()} == {*ids(runs[3:])}

    def test_nothing_old_is_nothing_to_do(self) -> None:
        pending()
        assert events.purge(timedelta(hours=1)) == 0
