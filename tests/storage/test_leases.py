"""Leases: renewed by their holder, lost by expiry, taken back by maintenance."""

from datetime import timedelta

import pytest

from django_durably import clock
from django_durably.conf import get_settings
from django_durably.models import Event, Run
from django_durably.storage import leases, transitions
from django_durably.storage.changes import Lease
from tests.storage.making import (
    claim,
    completed,
    event_types,
    expire,
    failed,
    handed_back,
    leased,
    pending,
    settle,
    statuses,
    step,
    stored,
)

pytestmark = pytest.mark.django_db


def lease_end(lease: Lease) -> timedelta:
    """How long the lease is good for still."""
    expires_at = stored(lease).lease_expires_at
    assert expires_at is not None
    return expires_at - clock.now()


def put_off(*held: Lease, by: timedelta) -> None:
    for lease in held:
        Run.objects.filter(pk=lease.run_id).update(lease_expires_at=clock.now() + by)


class TestRenewing:
    def test_gives_the_full_time_again(self) -> None:
        both = [leased(), leased()]
        put_off(*both, by=timedelta(seconds=1))
        held = leases.renew(both)
        assert (held.kept, held.lost, held.locked_elsewhere) == (set(both), {}, set())
        for lease in both:
            assert abs(lease_end(lease) - get_settings().lease) < timedelta(seconds=5)

    def test_leaves_the_leases_of_others_alone(self) -> None:
        mine, other = leased(), leased(owner="w2")
        put_off(other, by=timedelta(seconds=1))
        leases.renew([mine])
        assert lease_end(other) < timedelta(seconds=2)

    def test_tells_what_became_of_lost_ones(self) -> None:
        kept, cancelled, ended, back, gone = (leased() for _ in range(5))
        transitions.cancel(cancelled.run_id)
        settle(failed(ended), handed_back(back))
        Run.objects.filter(pk=gone.run_id).delete()
        held = leases.renew([kept, cancelled, ended, back, gone])
        assert held.kept == {kept}
        assert held.lost == {cancelled: "cancelled", ended: "failed", back: "pending", gone: None}
        assert stored(cancelled).lease_expires_at is None

    def test_does_not_renew_the_lease_of_the_next_holder(self) -> None:
        old = leased(owner="w1")
        settle(handed_back(old))
        new = claim(owner="w2")[0].lease
        put_off(new, by=timedelta(seconds=1))
        assert leases.renew([old]).lost == {old: "leased"}
        assert lease_end(new) < timedelta(seconds=2)

    def test_an_expired_lease_that_nobody_took_is_renewed(self) -> None:
        lease = leased()
        expire(lease)
        assert leases.renew([lease]).kept == {lease}
        assert leases.release_expired().released == 0

    def test_of_nothing_is_fine(self) -> None:
        assert leases.renew([]).kept == set()


def test_lost_among_only_looks() -> None:
    kept, lost = leased(), leased()
    transitions.cancel(lost.run_id)
    before = stored(kept).lease_expires_at
    assert leases.lost_among([kept, lost]) == {lost: "cancelled"}
    assert stored(kept).lease_expires_at == before


class TestReleasingExpired:
    def test_returns_runs_to_pending_and_counts_the_crash(self) -> None:
        lease = leased()
        settle(step(lease))
        expire(lease)
        assert leases.release_expired().released == 1
        run = stored(lease)
        assert (run.status, run.crashes, run.lease_generation) == ("pending", 1, 1)
        assert (run.lease_owner, run.lease_expires_at) == (None, None)
        assert (run.completed_step_count, run.completed_at) == (1, None)

    def test_leaves_living_leases_alone(self) -> None:
        alive, waiting, ended = leased(), pending(), leased()
        settle(completed(ended))
        expired = leases.release_expired()
        assert (expired.released, expired.failed, expired.drafts) == (0, 0, ())
        assert statuses(alive, waiting, ended) == ["leased", "pending", "completed"]

    def test_at_most_so_many_at_once_the_longest_expired_first(self) -> None:
        held = [leased("a", n) for n in range(3)]
        for n, lease in enumerate(held):
            put_off(lease, by=timedelta(hours=-n - 1))
        assert leases.release_expired(limit=2).released == 2
        assert statuses(*held) == ["leased", "pending", "pending"]

    def test_by_the_clock_of_the_database_and_the_offset_of_tests(self) -> None:
        lease = leased()
        with clock.shift(get_settings().lease - timedelta(seconds=5)):
            assert leases.release_expired().released == 0
        with clock.shift(get_settings().lease + timedelta(seconds=5)):
            assert leases.release_expired().released == 1
        assert statuses(lease) == ["pending"]

    def test_a_run_that_keeps_killing_its_worker_fails(self) -> None:
        lease = leased(labels={"org": "1"})
        for crash in range(1, get_settings().max_crashes):
            expire(lease)
            assert leases.release_expired().failed == 0
            assert stored(lease).crashes == crash
            lease = claim()[0].lease
        expire(lease)
        expired = leases.release_expired()
        assert (expired.released, expired.failed) == (0, 1)
        run = stored(lease)
        assert (run.status, run.crashes) == ("failed", get_settings().max_crashes)
        assert run.error is not None
        assert f"{get_settings().max_crashes} times" in run.error
        assert run.completed_at is not None
        assert (run.lease_owner, run.lease_expires_at) == (None, None)
        recorded = Event.objects.get(type="run:fail")
        assert recorded.payload == {"error": run.error, "failedStepName": "unknown"}
        assert (recorded.labels, expired.event_ids) == ({"org": "1"}, (recorded.pk,))
        assert [draft.run_id for draft in expired.drafts] == [run.pk]

    def test_checkpoints_between_the_crashes_keep_it_alive(self) -> None:
        lease = leased()
        for n in range(get_settings().max_crashes + 2):
            settle(step(lease, f"s{n}", n))
            expire(lease)
            assert leases.release_expired().released == 1
            lease = claim()[0].lease
        assert stored(lease).crashes == 1

    def test_hand_backs_do_not_count(self) -> None:
        lease = leased()
        for _ in range(get_settings().max_crashes + 1):
            settle(handed_back(lease))
            lease = claim()[0].lease
        assert (stored(lease).crashes, stored(lease).status) == (0, "leased")

    def test_poisonous_and_innocent_runs_are_told_apart(self) -> None:
        poison, innocent = leased(), leased()
        Run.objects.filter(pk=poison.run_id).update(crashes=get_settings().max_crashes - 1)
        expire(poison, innocent)
        expired = leases.release_expired()
        assert (expired.released, expired.failed) == (1, 1)
        assert statuses(poison, innocent) == ["failed", "pending"]


class TestReleasingUnknown:
    """A claim was committed, but the connection broke before the worker heard of it."""

    def test_returns_what_the_worker_does_not_know_of(self) -> None:
        known, unknown = leased(owner="w1"), leased(owner="w1")
        other = leased(owner="w2")
        assert leases.release_unknown("w1", [known]) == 1
        assert statuses(known, unknown, other) == ["leased", "pending", "leased"]
        run = stored(unknown)
        assert (run.crashes, run.lease_owner, run.lease_expires_at) == (0, None, None)

    def test_and_its_old_lease_is_void(self) -> None:
        unknown = leased(owner="w1")
        leases.release_unknown("w1", [])
        assert leases.renew([unknown]).lost == {unknown: "pending"}
        assert claim(owner="w1")[0].lease.generation == 2
        assert event_types(unknown) == ["run:trigger", "run:leased", "run:leased"]

    def test_of_a_worker_without_runs_is_fine(self) -> None:
        assert leases.release_unknown("w1", []) == 0


def test_status_of_says_nothing_of_runs_that_were_claimed_since() -> None:
    old, same = leased(), leased()
    settle(handed_back(old), completed(same))
    claim()
    assert leases.status_of([old, same]) == {same: "completed"}
