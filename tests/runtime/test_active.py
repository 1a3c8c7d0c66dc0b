"""The runs that a worker executes, and its slots."""

import time
import uuid

from django_durably.runtime.active import ActiveRuns, Execution
from django_durably.runtime.context import StepContext
from django_durably.runtime.inline_journal import InlineJournal
from django_durably.storage.changes import Claimed, Lease


def _execution() -> Execution:
    run = Claimed(Lease(uuid.uuid4(), 1, "w"), "job", None, {}, "{}")
    return Execution(run, StepContext(run, InlineJournal()))


def test_a_slot_is_free_at_the_end_of_the_body_and_the_lease_at_its_commit() -> None:
    active, one = ActiveRuns(2), _execution()
    active.add(one, deadline=0)
    assert (active.free_slots, active.busy, active.leases()) == (1, 1, [one.run.lease])
    assert active.end(one.run.lease)
    assert (active.free_slots, active.leases()) == (2, [one.run.lease])
    assert not active.wait_until_empty(0)
    active.remove(one.run.lease)
    assert active.leases() == []
    assert active.wait_until_empty(0)


def test_a_body_that_ends_when_it_is_given_up_is_settled_once() -> None:
    active, one = ActiveRuns(1), _execution()
    active.add(one, deadline=0)
    assert active.end(one.run.lease)
    assert not active.end(one.run.lease)
    assert active.free_slots == 1
    active.remove(one.run.lease)
    assert not active.end(one.run.lease)
    assert active.free_slots == 1


def test_what_is_overdue_is_aborted() -> None:
    active, late, fresh = ActiveRuns(2), _execution(), _execution()
    now = time.monotonic()
    active.add(late, deadline=now - 1)
    active.add(fresh, deadline=now + 60)
    active.abort_overdue()
    assert late.context.is_aborted()
    assert not fresh.context.is_aborted()
    active.renewed(late.run.lease, now + 60)
    assert late.context.lease_deadline == now + 60


def test_lost_and_cancelled_are_told_apart() -> None:
    active, one, other = ActiveRuns(2), _execution(), _execution()
    for each in (one, other):
        active.add(each, deadline=float("inf"))
    active.lost(one.run.lease, "cancelled")
    active.lost(other.run.lease, "pending")
    active.lost(_execution().run.lease, None)
    errors = [type(each.context.signal_error()).__name__ for each in (one, other)]
    assert errors == ["CancelledError", "LeaseLostError"]
