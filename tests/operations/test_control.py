"""What people do to a run: cancel, retrigger, delete."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django_durably import clock, signals
from django_durably.exceptions import ConflictError, NotFoundError, ValidationError
from django_durably.jobs import registry
from django_durably.models import Event, Run, Step
from django_durably.operations import control
from django_durably.testing import run_until_idle
from tests.operations.test_triggers import Hearing
from tests.storage.making import completed, leased, pending, settle, stored, take
from tests.testapp.jobs import add_in_steps, echo, fail

pytestmark = pytest.mark.django_db

Capture = Callable[..., Any]


@pytest.fixture
def done() -> Run:
    run = echo.trigger({"n": 1}, labels={"org": "1"}, idempotency_key="i", concurrency_key="c")
    run_until_idle()
    return stored(run)


class TestCancel:
    @pytest.mark.parametrize("cancel", [Run.cancel, async_to_sync(Run.acancel)])
    def test_brings_the_instance_up_to_date(self, cancel: Callable[[Run], None]) -> None:
        run = echo.trigger({})
        take(run)
        cancel(run)
        fresh = stored(run)
        assert (run.status, run.completed_at) == (fresh.status, fresh.completed_at)
        assert (run.status, run.is_terminal, run.lease_owner) == ("cancelled", True, None)
        assert run.started_at == fresh.started_at is not None

    def test_goes_by_the_database_not_by_a_stale_instance(self) -> None:
        run = echo.trigger({})
        run_until_idle()
        assert run.status == "pending"
        with pytest.raises(ConflictError, match="already completed"):
            run.cancel()

    def test_is_told_after_the_commit(self, django_capture_on_commit_callbacks: Capture) -> None:
        run = echo.trigger({}, labels={"org": "1"})
        with (
            Hearing(signals.run_cancelled) as hearing,
            django_capture_on_commit_callbacks(execute=True),
        ):
            run.cancel()
            assert hearing.events == []
        (event,) = hearing.events
        assert (event.run_id, event.labels, event.payload) == (run.pk, {"org": "1"}, {})
        assert event.sequence == Event.objects.get(type="run:cancel").pk

    def test_of_a_run_that_is_gone(self) -> None:
        with pytest.raises(NotFoundError):
            Run(id=clock.uuid7()).cancel()


class TestRetrigger:
    @pytest.mark.parametrize("retrigger", [Run.retrigger, async_to_sync(Run.aretrigger)])
    def test_makes_a_fresh_run_without_the_idempotency_key(
        self, done: Run, retrigger: Callable[[Run], Run]
    ) -> None:
        again = stored(retrigger(done))
        assert again.pk != done.pk
        assert (again.job_name, again.input, again.labels) == ("echo", {"n": 1}, {"org": "1"})
        assert (again.concurrency_key, again.idempotency_key) == ("c", None)
        assert (again.retriggered_from, again.status) == (done.pk, "pending")
        assert (again.output, again.completed_step_count, again.started_at) == (None, 0, None)

    def test_may_say_by_whom(self, done: Run) -> None:
        assert stored(control.retrigger(done, "user 7")).triggered_by == "user 7"

    def test_starts_from_the_beginning(self) -> None:
        run = add_in_steps.trigger([1, 2])
        run_until_idle()
        again = stored(run).retrigger()
        run_until_idle()
        assert stored(again).output == 3
        assert Step.objects.filter(run=again).count() == Step.objects.filter(run=run).count() == 2

    def test_a_failed_and_a_cancelled_run(self) -> None:
        failed, cancelled = fail.trigger("boom"), echo.trigger({})
        cancelled.cancel()
        run_until_idle()
        for run in (stored(failed), stored(cancelled)):
            assert run.retrigger().input == run.input

    @pytest.mark.parametrize("make", [pending, leased])
    def test_an_active_run_is_a_conflict(self, make: Callable[..., Any]) -> None:
        run = stored(make("echo", {}))
        with pytest.raises(ConflictError, match=f"still {run.status}"):
            run.retrigger()
        assert Run.objects.count() == 1

    def test_goes_by_the_database_not_by_a_stale_instance(self) -> None:
        run = echo.trigger({"n": 1})
        run_until_idle()
        assert run.status == "pending"
        assert run.retrigger().input == {"n": 1}

    def test_of_a_run_that_is_gone(self, done: Run) -> None:
        Run.objects.filter(pk=done.pk).delete()
        with pytest.raises(NotFoundError, match="Run not found"):
            done.retrigger()

    def test_of_a_job_that_is_gone(self) -> None:
        lease = leased("from-an-older-release")
        settle(completed(lease))
        with pytest.raises(NotFoundError, match="from-an-older-release"):
            stored(lease).retrigger()

    def test_with_an_input_that_todays_schema_refuses(self) -> None:
        lease = leased("echo", "text, as it was before")
        settle(completed(lease))
        assert registry.get("echo").takes_input
        with pytest.raises(ValidationError, match="input"):
            stored(lease).retrigger()

    def test_while_another_run_of_its_key_waits(self, done: Run) -> None:
        echo.trigger({}, concurrency_key="c")
        with pytest.raises(ConflictError, match="'c'"):
            done.retrigger()


class TestDelete:
    @pytest.mark.parametrize("delete", [Run.delete, async_to_sync(Run.adelete)])
    def test_takes_the_run_and_says_what_went(
        self, done: Run, delete: Callable[[Run], tuple[int, dict[str, int]]]
    ) -> None:
        count, by_model = delete(done)
        assert (count, by_model["durably.Run"]) == (2, 1)
        assert not Run.objects.filter(pk=done.pk).exists()

    def test_is_told_after_the_commit(
        self, done: Run, django_capture_on_commit_callbacks: Capture
    ) -> None:
        with (
            Hearing(signals.run_deleted) as hearing,
            django_capture_on_commit_callbacks(execute=True),
        ):
            done.delete()
        (event,) = hearing.events
        assert (event.run_id, event.job_name, event.labels) == (done.pk, "echo", {"org": "1"})

    def test_goes_by_the_database_not_by_a_stale_instance(self) -> None:
        run = echo.trigger({})
        run.status = "completed"
        with pytest.raises(ConflictError, match="still pending"):
            run.delete()

    def test_a_queryset_deletes_as_django_does(self, done: Run) -> None:
        """No check and no event: the admin and the API use `run.delete()`."""
        echo.trigger({})
        events = Event.objects.count()
        assert Run.objects.all().delete()[1]["durably.Run"] == 2
        assert Event.objects.count() == events
