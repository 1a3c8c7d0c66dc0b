"""What people do to a run's state: cancel and delete."""

from collections.abc import Callable
from uuid import UUID

import pytest

from django_durably import clock
from django_durably.exceptions import ConflictError, NotFoundError
from django_durably.models import Event, LogEntry, Run, RunLabel, Step
from django_durably.storage import transitions
from tests.storage.making import (
    claimed_ids,
    completed,
    event_types,
    failed,
    leased,
    log,
    pending,
    settle,
    statuses,
    step,
    stored,
)

pytestmark = pytest.mark.django_db


def ended(status: str) -> Run:
    lease = leased(labels={"org": "1"})
    settle(step(lease), log(lease, "x"))
    match status:
        case "completed":
            settle(completed(lease, 1))
        case "failed":
            settle(failed(lease))
        case "cancelled":
            transitions.cancel(lease.run_id)
    return stored(lease)


class TestCancelling:
    @pytest.mark.parametrize("make", [lambda: pending().pk, lambda: leased().run_id])
    def test_an_active_run(self, make: Callable[[], UUID]) -> None:
        id_ = make()
        run, draft, event_ids = transitions.cancel(id_)
        fresh = stored(id_)
        assert (fresh.status, fresh.lease_owner, fresh.lease_expires_at) == (
            "cancelled",
            None,
            None,
        )
        assert fresh.completed_at is not None
        assert (run.status, run.completed_at) == ("cancelled", fresh.completed_at)
        assert event_types(id_)[-1] == "run:cancel"
        assert Event.objects.get(pk=event_ids[0]).type == draft.type == "run:cancel"

    def test_frees_the_place_of_the_waiting_run(self) -> None:
        first = pending(concurrency_key="c")
        transitions.cancel(first.pk)
        assert pending(concurrency_key="c").disposition == "created"

    def test_keeps_what_was_done(self) -> None:
        run = ended("cancelled")
        assert (run.completed_step_count, run.steps.count(), run.logs.count()) == (1, 1, 1)

    def test_a_cancelled_run_is_not_claimed(self) -> None:
        transitions.cancel(pending().pk)
        assert claimed_ids() == []

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_a_terminal_run_is_a_conflict(self, status: str) -> None:
        run = ended(status)
        types = event_types(run)
        with pytest.raises(ConflictError, match=f"already {status}"):
            transitions.cancel(run.pk)
        assert (stored(run).completed_at, event_types(run)) == (run.completed_at, types)

    def test_a_run_that_is_gone(self) -> None:
        with pytest.raises(NotFoundError, match="Run not found"):
            transitions.cancel(clock.uuid7())


class TestDeleting:
    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_takes_all_that_is_the_runs_own_but_its_events(self, status: str) -> None:
        run, other = ended(status), ended("completed")
        (count, by_model), draft, event_ids = transitions.delete(run.pk)
        assert by_model == {
            "durably.Run": 1,
            "durably.Step": 1,
            "durably.LogEntry": 1,
            "durably.RunLabel": 1,
        }
        assert (count, draft.type) == (4, "run:delete")
        for model in (Step, LogEntry, RunLabel):
            assert [*model.objects.values_list("run_id", flat=True)] == [other.pk]
        assert [*Run.objects.all()] == [other]
        recorded = Event.objects.get(pk=event_ids[0])
        assert (recorded.run_id, recorded.job_name, recorded.labels) == (run.pk, "a", {"org": "1"})
        assert event_types(run.pk)[-1] == "run:delete"

    def test_an_active_run_is_a_conflict(self) -> None:
        waiting, lease = pending(), leased()
        with pytest.raises(ConflictError, match="still pending"):
            transitions.delete(waiting.pk)
        with pytest.raises(ConflictError, match="still leased"):
            transitions.delete(lease.run_id)
        assert statuses(waiting, lease) == ["pending", "leased"]

    def test_a_run_that_is_gone(self) -> None:
        with pytest.raises(NotFoundError, match="Run not found"):
            transitions.delete(clock.uuid7())

    def test_its_idempotency_key_is_free_again(self) -> None:
        lease = leased(idempotency_key="i")
        settle(completed(lease))
        transitions.delete(lease.run_id)
        assert pending(idempotency_key="i").disposition == "created"
