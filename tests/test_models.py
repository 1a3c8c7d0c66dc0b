"""The models as people use them: querysets, properties, and what the migrations make."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command

from django_durably.models import LogEntry, Run, RunStatus, Step, Worker
from django_durably.models.run import ACTIVE, TERMINAL
from django_durably.storage import transitions
from tests.storage.making import (
    claim,
    completed,
    end_long_ago,
    enqueued,
    failed,
    handed_back,
    leased,
    log,
    pending,
    request,
    settle,
    step,
    stored,
    take,
)

pytestmark = pytest.mark.django_db


class TestQuerySet:
    def test_for_job(self) -> None:
        mine, _ = pending("a"), pending("A")
        assert [*Run.objects.for_job("a")] == [mine]

    @pytest.mark.parametrize(
        ("labels", "found"),
        [
            ({}, {0, 1, 2, 3}),
            ({"org": "1"}, {0, 1}),
            ({"org": "1", "env": "prod"}, {0}),
            ({"org": "2", "env": "prod"}, set()),
            ({"a/b.c-d": "x"}, {2}),
            ({"org": "1 "}, set()),
            ({"ORG": "1"}, set()),
            ({"unknown": ""}, set()),
        ],
    )
    def test_with_labels(self, labels: dict[str, str], found: set[int]) -> None:
        enqueued(
            request("a", 0, labels={"org": "1", "env": "prod"}),
            request("a", 1, labels={"org": "1", "env": "test"}),
            request("a", 2, labels={"org": "2", "a/b.c-d": "x"}),
            request("a", 3),
        )
        runs = Run.objects.with_labels(**labels)
        assert {run.input for run in runs} == found
        assert len(runs) == runs.count() == len(found)

    def test_active_and_terminal_share_all_runs(self) -> None:
        end_long_ago(pending(), status="completed", ago=timedelta(0))
        end_long_ago(pending(), status="failed", ago=timedelta(0))
        waiting, executing, cancelled = pending(), leased(), pending()
        transitions.cancel(cancelled.pk)
        assert {*Run.objects.active()} == {waiting, stored(executing)}
        assert Run.objects.terminal().count() == 3
        assert {*ACTIVE, *TERMINAL} == {*RunStatus}

    def test_filters_combine_in_any_order(self) -> None:
        mine = pending("a", labels={"org": "1"})
        pending("a")
        pending("b", labels={"org": "1"})
        assert [*Run.objects.active().with_labels(org="1").for_job("a")] == [mine]
        assert [*Run.objects.for_job("a").exclude(status="failed").with_labels(org="1")] == [mine]
        assert Run.objects.with_labels(org="1").terminal().count() == 0

    def test_purge_is_of_the_queryset(self) -> None:
        old, other = pending("a"), pending("b")
        end_long_ago(old, other, ago=timedelta(days=40))
        assert Run.objects.for_job("a").purge(older_than=timedelta(days=30)) == 1
        assert [*Run.objects.all()] == [other]


class TestRun:
    @pytest.mark.parametrize("status", [*RunStatus])
    def test_is_terminal_or_active(self, status: RunStatus) -> None:
        run = Run(job_name="a", status=status)
        assert run.is_terminal is (status in ("completed", "failed", "cancelled"))
        assert run.is_active is not run.is_terminal

    def test_says_what_it_is(self) -> None:
        run = pending("import-csv")
        assert str(run) == f"import-csv {run.pk} (pending)"

    def test_its_steps_come_by_index_and_attempt_and_its_logs_in_order(self) -> None:
        lease = leased()
        settle(step(lease, "a", 0, status="failed", error="x"), log(lease, "one"))
        settle(handed_back(lease))
        again = claim()[0].lease
        settle(step(again, "b", 1), step(again, "a", 0, attempt=2), log(again, "two"))
        run = stored(lease)
        assert [(s.name, s.attempt) for s in run.steps.all()] == [("a", 1), ("a", 2), ("b", 1)]
        assert [entry.message for entry in run.logs.all()] == ["one", "two"]
        assert [str(s) for s in run.steps.all()][:2] == ["a (failed)", "a (completed)"]
        assert str(run.logs.first()) == "info: one"

    def test_sees_only_its_own_steps_and_logs(self) -> None:
        mine, other = leased(), leased()
        settle(step(mine), log(mine, "x"), step(other), log(other, "y"))
        run = stored(mine)
        assert [s.run_id for s in run.steps.all()] == [run.pk]
        assert [entry.run_id for entry in run.logs.all()] == [run.pk]
        assert Step.objects.count() == LogEntry.objects.count() == 2

    @pytest.mark.parametrize(("end", "terminal"), [(completed, True), (failed, True)])
    def test_is_up_to_date_after_a_refresh(self, end: Any, terminal: bool) -> None:
        run = pending()
        settle(end(take(run)))
        run.refresh_from_db()
        assert run.is_terminal is terminal

    def test_the_ids_of_a_process_grow(self) -> None:
        ids = [Run().pk for _ in range(1000)]
        assert ids == sorted(set(ids))
        assert {id_.version for id_ in ids} == {7}


def test_a_worker_is_shown_by_its_id() -> None:
    assert str(Worker(id="host-1")) == "host-1"


def test_the_migrations_are_up_to_date() -> None:
    call_command("makemigrations", "durably", check=True, dry_run=True, verbosity=0)


def test_the_permissions_of_policies_and_the_admin() -> None:
    names = Permission.objects.filter(
        content_type__app_label="durably", content_type__model="run"
    ).values_list("codename", flat=True)
    assert {*names} >= {"view_run", "delete_run", "trigger_run", "cancel_run"}
