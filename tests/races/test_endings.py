"""What ends a lease meets what else happens to its run: one of them wins, and all agree which."""

from datetime import timedelta
from functools import partial
from threading import Barrier

import pytest
from django.db import transaction

from django_durably.exceptions import ConflictError, NotFoundError
from django_durably.models import Run
from django_durably.storage import batches, leases, retention, transitions
from django_durably.storage.changes import Lease
from tests.races.threads import PATIENCE, Background, at_once, rows_held_elsewhere
from tests.storage.making import (
    completed,
    end_long_ago,
    enqueued,
    event_types,
    expire,
    leased,
    request,
    settle,
    step,
    stored,
)
from tests.support import databases
from tests.support.waiting import eventually

writers_overlap = pytest.mark.skipif(
    databases.chosen() == "sqlite", reason="SQLite has one writer at a time"
)


def cancel(lease: Lease) -> str:
    try:
        transitions.cancel(lease.run_id)
    except ConflictError:
        return "refused"
    return "cancelled"


def complete(lease: Lease) -> str:
    """Tries until the run is settled or lost."""

    def outcome() -> str:
        committed = batches.commit([step(lease), completed(lease)])
        if committed.locked_elsewhere:
            return ""
        return f"lost: {committed.lost[lease]}" if committed.lost else "completed"

    return eventually(outcome)


@pytest.mark.parametrize("key", [None, "c"])
def test_cancel_against_completion(key: str | None) -> None:
    for _ in range(12):
        lease = leased(concurrency_key=key)
        answers = at_once(partial(cancel, lease), partial(complete, lease))
        run = stored(lease)
        ends = [type_ for type_ in event_types(lease) if type_ in ("run:cancel", "run:complete")]
        if answers == ["cancelled", "lost: cancelled"]:
            assert (run.status, ends, run.steps.count()) == ("cancelled", ["run:cancel"], 0)
        else:
            assert answers == ["refused", "completed"]
            assert (run.status, ends, run.steps.count()) == ("completed", ["run:complete"], 1)


def test_cancel_against_cancel() -> None:
    for _ in range(5):
        lease = leased()
        answers = at_once(*[partial(cancel, lease)] * 3)
        assert sorted(answers) == ["cancelled", "refused", "refused"]
        assert event_types(lease).count("run:cancel") == 1


@writers_overlap
def test_a_cancellation_inside_a_long_transaction_holds_up_only_its_run() -> None:
    cancelled, other = leased(), leased()
    with transaction.atomic():
        transitions.cancel(cancelled.run_id)
        commit = partial(batches.commit, [completed(cancelled), completed(other)])
        with Background(commit) as committing:
            committed = committing.go_on()
    assert (committed.locked_elsewhere, committed.lost) == ({cancelled}, {})
    assert batches.commit([completed(cancelled)]).lost == {cancelled: "cancelled"}


def test_release_of_expired_leases_against_a_late_renewal() -> None:
    for _ in range(12):
        lease = leased()
        expire(lease)
        held, released = at_once(
            lambda it=lease: leases.renew([it]),  # type: ignore[misc]
            lambda: leases.release_expired().released,
        )
        assert isinstance(held, leases.Hold)
        run = stored(lease)
        if held.kept:
            assert (run.status, run.crashes, released) == ("leased", 0, 0)
            settle(completed(lease))
        else:
            assert (run.status, run.crashes, released) == ("pending", 1, 1)
            assert leases.renew([lease]).lost == {lease: "pending"}
            run.cancel()


@writers_overlap
def test_a_lease_that_is_renewed_at_this_moment_is_not_released() -> None:
    lease = leased()
    expire(lease)
    with transaction.atomic():
        assert leases.renew([lease]).kept == {lease}
        with Background(leases.release_expired) as releasing:
            assert releasing.go_on().released == 0
    assert stored(lease).status == "leased"


@writers_overlap
def test_a_lease_that_is_released_at_this_moment_is_not_renewed() -> None:
    lease = leased()
    expire(lease)
    with transaction.atomic():
        assert leases.release_expired().released == 1
        with Background(partial(leases.renew, [lease])) as renewing:
            held = renewing.go_on()
            assert (held.kept, held.locked_elsewhere) == (set(), {lease})
    assert leases.renew([lease]).lost == {lease: "pending"}


def test_many_workers_release_each_expired_lease_once() -> None:
    held = [leased("a", n) for n in range(30)]
    expire(*held)
    released = at_once(*[lambda: leases.release_expired(limit=12).released] * 4)
    left = leases.release_expired().released
    assert sum(released) + left == 30
    assert {*Run.objects.values_list("status", "crashes")} == {("pending", 1)}


def test_completion_against_release() -> None:
    for _ in range(12):
        lease = leased()
        expire(lease)
        outcome, released = at_once(
            partial(complete, lease), lambda: str(leases.release_expired().released)
        )
        if outcome == "completed":
            assert (released, stored(lease).status) == ("0", "completed")
        else:
            assert (outcome, released) == ("lost: pending", "1")
            assert stored(lease).steps.count() == 0
            stored(lease).cancel()


def test_delete_against_delete() -> None:
    def delete(lease: Lease) -> str:
        try:
            transitions.delete(lease.run_id)
        except NotFoundError:
            return "gone"
        return "deleted"

    for _ in range(5):
        lease = leased()
        settle(step(lease), completed(lease))
        assert sorted(at_once(*[partial(delete, lease)] * 3)) == ["deleted", "gone", "gone"]
        assert event_types(lease).count("run:delete") == 1


def test_many_workers_purge_without_getting_in_each_others_way() -> None:
    runs = enqueued(*[request("a", n, labels={"n": "1"}) for n in range(60)])
    end_long_ago(*runs, ago=timedelta(days=60))
    counts = at_once(*[lambda: retention.purge(Run.objects.all(), timedelta(days=30), 25)] * 4)
    left = retention.purge(Run.objects.all(), timedelta(days=30))
    assert sum(counts) + left == 60
    assert Run.objects.count() == 0


@writers_overlap
def test_a_locked_run_is_settled_when_its_lock_is_gone() -> None:
    lease = leased()
    gate = Barrier(2)

    def complete_through_the_lock() -> str:
        gate.wait(PATIENCE)
        assert batches.commit([completed(lease)]).locked_elsewhere == {lease}
        gate.wait(PATIENCE)
        return complete(lease)

    with Background(complete_through_the_lock) as completing:
        with rows_held_elsewhere(lease.run_id):
            gate.wait(PATIENCE)
            gate.wait(PATIENCE)
        assert completing.go_on() == "completed"
