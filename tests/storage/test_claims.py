"""Claiming: which runs, in which order, one per concurrency key, and what a claim carries."""

from datetime import timedelta

import pytest
from django.db import transaction

from django_durably import clock
from django_durably.conf import get_settings
from django_durably.models import Event, Run
from django_durably.storage import batches, claims, keys, leases, transitions
from django_durably.storage.changes import ClaimRequest, Lease
from tests.storage.making import (
    claim,
    claimed_ids,
    completed,
    end_long_ago,
    enqueued,
    event_types,
    expire,
    failed,
    handed_back,
    ids,
    leased,
    pending,
    request,
    settle,
    statuses,
    step,
    stored,
    take,
)

pytestmark = pytest.mark.django_db


def test_an_empty_queue_gives_nothing() -> None:
    assert claims.claim(ClaimRequest("w1", ("a",), 5)) == claims.NOTHING


@pytest.mark.parametrize(("jobs", "limit"), [((), 5), (("a",), 0)])
def test_who_asks_for_nothing_gets_nothing(jobs: tuple[str, ...], limit: int) -> None:
    run = pending()
    assert claims.claim(ClaimRequest("w1", jobs, limit)) == claims.NOTHING
    assert stored(run).status == "pending"


def test_takes_the_oldest_first_whatever_their_jobs() -> None:
    runs = ids(enqueued(*[request("ab"[n % 2], n) for n in range(10)]))
    assert claimed_ids("b", "a", limit=4) == runs[:4]
    assert claimed_ids("a", "b", limit=4) == runs[4:8]
    assert claimed_ids("a", "b", limit=4) == runs[8:]


def test_takes_keyed_and_other_runs_in_one_order() -> None:
    runs = ids(
        enqueued(
            *[request("a", n, concurrency_key=f"{9 - n}" if n % 2 else None) for n in range(8)]
        )
    )
    assert claimed_ids("a", limit=5) == runs[:5]
    assert claimed_ids("a", limit=5) == runs[5:]


def test_takes_only_the_jobs_it_is_asked_for() -> None:
    known, unknown = pending("a"), pending("from-a-newer-release")
    assert claimed_ids("a", "b") == [known.pk]
    assert stored(unknown).status == "pending"


def test_takes_among_very_many_jobs() -> None:
    names = [f"job-{n}" for n in range(250)]
    runs = ids(enqueued(*[request(name) for name in reversed(names)]))
    assert claimed_ids(*names, limit=7) == runs[:7]


@pytest.mark.parametrize("key", [None, "c"])
@pytest.mark.parametrize(("waiting", "limit", "more"), [(3, 3, True), (2, 3, False)])
def test_tells_whether_there_may_be_more(
    waiting: int, limit: int, more: bool, key: str | None
) -> None:
    enqueued(
        *[request("a", concurrency_key=None if key is None else f"{n}") for n in range(waiting)]
    )
    assert claims.claim(ClaimRequest("w1", ("a",), limit)).more is more


def test_what_is_stored_of_a_lease() -> None:
    run = pending()
    before = clock.now()
    (claimed,) = claim(owner="worker-7")
    fresh = stored(run)
    assert (fresh.status, fresh.lease_owner, fresh.lease_generation) == ("leased", "worker-7", 1)
    assert fresh.started_at is not None
    assert fresh.lease_expires_at is not None
    assert before <= fresh.started_at <= clock.now()
    term = fresh.lease_expires_at - fresh.started_at
    assert abs(term - get_settings().lease) < timedelta(seconds=5)
    assert (claimed.lease.run_id, claimed.lease.generation) == (run.pk, 1)
    assert claimed.lease.owner == "worker-7"


def test_a_claim_carries_what_the_execution_needs() -> None:
    pending("a", {"🦊": [1, None]}, labels={"org": "1"})
    (claimed,) = claim()
    assert (claimed.job_name, claimed.input) == ("a", {"🦊": [1, None]})
    assert (claimed.labels, claimed.steps) == ({"org": "1"}, ())


@pytest.mark.parametrize("key", [None, "c"])
@pytest.mark.parametrize("value", [None, 0, False, "", "null", {"a": "🦊" * 1000}])
def test_a_claim_is_recorded_as_an_event(value: object, key: str | None) -> None:
    run = pending("a", value, labels={"org": "1"}, concurrency_key=key)
    taken = claims.claim(ClaimRequest("w1", ("a",), 1))
    assert taken.runs[0].input == value
    recorded = Event.objects.get(type="run:leased")
    assert (recorded.run_id, recorded.job_name, recorded.labels) == (run.pk, "a", {"org": "1"})
    assert recorded.payload == {"input": value}
    assert (taken.event_ids, [d.run_id for d in taken.drafts]) == ((recorded.pk,), [run.pk])


def test_event_ids_belong_to_their_drafts() -> None:
    enqueued(*[request("a", n) for n in range(6)])
    taken = claims.claim(ClaimRequest("w1", ("a",), 6))
    told = {event.pk: event.run_id for event in Event.objects.filter(type="run:leased")}
    assert [told[id_] for id_ in taken.event_ids] == [draft.run_id for draft in taken.drafts]


class TestOneRun:
    def test_is_claimed_out_of_turn(self) -> None:
        first, second = pending(), pending()
        assert take(second).run_id == second.pk
        assert statuses(first, second) == ["pending", "leased"]
        assert event_types(second) == ["run:trigger", "run:leased"]

    def test_must_be_pending(self) -> None:
        lease = leased()
        assert claims.claim_one(lease.run_id, "w2") is None
        settle(completed(lease))
        assert claims.claim_one(lease.run_id, "w2") is None

    def test_must_exist(self) -> None:
        assert claims.claim_one(clock.uuid7(), "w1") is None

    def test_needs_its_key_free(self) -> None:
        holder = leased(concurrency_key="c")
        waiting = pending(concurrency_key="c")
        assert claims.claim_one(waiting.pk, "w2") is None
        settle(completed(holder))
        assert take(waiting).run_id == waiting.pk


class TestConcurrencyKey:
    def test_one_claim_takes_one_run_of_a_key(self) -> None:
        first, second = pending("a", concurrency_key="c"), pending("b", concurrency_key="c")
        other = pending("a", concurrency_key="d")
        assert claimed_ids() == [first.pk, other.pk]
        assert stored(second).status == "pending"

    def test_the_next_claim_leaves_a_held_key_alone_and_goes_on_behind_it(self) -> None:
        leased(concurrency_key="c")
        waiting = pending(concurrency_key="c")
        free = pending()
        assert claimed_ids() == [free.pk]
        assert stored(waiting).blocked

    def test_a_key_is_held_against_other_jobs_too(self) -> None:
        holder = leased("a", concurrency_key="c")
        waiting = pending("b", concurrency_key="c")
        assert claimed_ids() == []
        settle(completed(holder))
        assert claimed_ids() == [waiting.pk]

    def test_a_blocked_run_is_not_looked_at_again(self) -> None:
        leased(concurrency_key="c")
        waiting = pending(concurrency_key="c")
        assert claimed_ids() == []
        mark = Run.objects.filter(pk=waiting.pk).values_list("blocked", "status", "updated_at")
        before = mark.get()
        assert claimed_ids() == []
        assert mark.get() == before

    def test_keys_compare_by_their_bytes(self) -> None:
        names = ("k", "K", "k ", "ß", "ss", "é", "e\u0301", "🦊", "🐻")
        runs = ids(enqueued(*[request(concurrency_key=key) for key in names]))
        assert claimed_ids(limit=20) == runs

    def test_runs_behind_many_blocked_ones_are_reached(self) -> None:
        holders = [leased("a", concurrency_key=f"{n}") for n in range(60)]
        blocked = enqueued(*[request("b", concurrency_key=f"{n}") for n in range(60)])
        free = pending("b")
        taken = claims.claim(ClaimRequest("w1", ("b",), 1))
        assert ([run.lease.run_id for run in taken.runs], taken.more) == ([free.pk], True)
        assert Run.objects.filter(blocked=True).count() == 60
        settle(*[completed(holder) for holder in holders])
        assert claimed_ids("b", limit=100) == ids(blocked)

    def test_a_claim_that_looked_at_many_and_found_none_says_that_there_may_be_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(claims, "_MOST_PAGES", 2)
        for n in range(20):
            leased("a", concurrency_key=f"{n}")
        enqueued(*[request("b", concurrency_key=f"{n}") for n in range(20)])
        free = pending("b")
        first = claims.claim(ClaimRequest("w1", ("b",), 1))
        assert (first.runs, first.more) == ((), True)
        assert claimed_ids("b", limit=1) == [free.pk]


class TestUnblocking:
    """Whatever ends the lease that holds a key lets the run that it blocked be claimed."""

    @pytest.fixture
    def holder(self) -> Lease:
        return leased("a", concurrency_key="c")

    @pytest.fixture
    def waiting(self, holder: Lease) -> Run:
        run = pending("b", concurrency_key="c")
        assert claimed_ids("b") == []
        assert stored(run).blocked
        return run

    def assert_free(self, waiting: Run) -> None:
        assert not stored(waiting).blocked
        assert claimed_ids("b") == [waiting.pk]

    def test_by_completion(self, holder: Lease, waiting: Run) -> None:
        assert batches.commit([completed(holder)]).freed
        self.assert_free(waiting)

    def test_by_failure(self, holder: Lease, waiting: Run) -> None:
        assert batches.commit([failed(holder)]).freed
        self.assert_free(waiting)

    def test_by_handing_back(self, holder: Lease, waiting: Run) -> None:
        assert batches.commit([handed_back(holder)]).freed
        self.assert_free(waiting)

    def test_by_completion_in_the_commit_that_claims(self, holder: Lease, waiting: Run) -> None:
        committed = batches.commit([completed(holder)], ClaimRequest("w1", ("b",), 1))
        assert [run.lease.run_id for run in committed.claims.runs] == [waiting.pk]

    def test_by_cancellation(self, holder: Lease, waiting: Run) -> None:
        transitions.cancel(holder.run_id)
        self.assert_free(waiting)

    def test_by_expiry(self, holder: Lease, waiting: Run) -> None:
        expire(holder)
        assert leases.release_expired().released == 1
        assert not stored(waiting).blocked
        assert claimed_ids("a", "b") == [holder.run_id]

    def test_by_the_last_crash(self, holder: Lease, waiting: Run) -> None:
        Run.objects.filter(pk=holder.run_id).update(crashes=get_settings().max_crashes - 1)
        expire(holder)
        assert leases.release_expired().failed == 1
        self.assert_free(waiting)

    def test_by_giving_up_a_claim_that_nobody_heard_of(self, holder: Lease, waiting: Run) -> None:
        assert leases.release_unknown("w1", []) == 1
        self.assert_free(waiting)

    def test_by_maintenance_when_the_site_deleted_the_holder(
        self, holder: Lease, waiting: Run
    ) -> None:
        Run.objects.filter(pk=holder.run_id).delete()
        assert claimed_ids("b") == []
        assert keys.unblock_all_free() == 1
        self.assert_free(waiting)

    def test_maintenance_leaves_runs_of_held_keys_blocked(
        self, holder: Lease, waiting: Run
    ) -> None:
        assert keys.unblock_all_free() == 0
        assert stored(waiting).blocked

    def test_purging_ended_runs_of_the_key_changes_nothing(
        self, holder: Lease, waiting: Run
    ) -> None:
        old = pending("x", concurrency_key="c")
        end_long_ago(old, ago=timedelta(days=60))
        assert Run.objects.all().purge(timedelta(days=30)) == 1
        assert stored(waiting).blocked
        settle(completed(holder))
        self.assert_free(waiting)

    def test_a_blocked_run_that_is_cancelled_is_no_longer_blocked(
        self, holder: Lease, waiting: Run
    ) -> None:
        transitions.cancel(waiting.pk)
        assert (stored(waiting).status, stored(waiting).blocked) == ("cancelled", False)

    def test_a_key_that_blocks_nobody_frees_nobody(self) -> None:
        lease = leased(concurrency_key="x")
        assert not batches.commit([completed(lease)]).freed


class TestResuming:
    def test_a_run_that_came_back_brings_its_tries_in_order(self) -> None:
        lease = leased("a", {"n": 1})
        settle(
            step(lease, "second", 1, output={"🦊": None}),
            step(lease, "first", 0, output=0),
            step(lease, "third", 2, status="failed", error="boom"),
        )
        settle(handed_back(lease))
        (claimed,) = claim()
        tries = [(s.name, s.index, s.attempt, s.status, s.error) for s in claimed.steps]
        assert tries == [
            ("first", 0, 1, "completed", None),
            ("second", 1, 1, "completed", None),
            ("third", 2, 1, "failed", "boom"),
        ]
        assert claimed.steps[0].output == "0"
        assert claimed.steps[0].started_at.tzinfo is not None
        assert claimed.lease.generation == 2

    def test_tries_of_one_step_come_in_order(self) -> None:
        lease = leased()
        settle(step(lease, "s", status="failed", error="boom"))
        settle(handed_back(lease))
        again = claim()[0].lease
        settle(step(again, "s", attempt=2, output=1))
        settle(handed_back(again))
        (claimed,) = claim()
        assert [(s.attempt, s.status) for s in claimed.steps] == [(1, "failed"), (2, "completed")]

    @pytest.mark.parametrize("key", [None, "c"])
    def test_each_resumed_run_gets_its_own(self, key: str | None) -> None:
        both = [
            leased("a", n, concurrency_key=None if key is None else f"{key}{n}") for n in range(2)
        ]
        new = pending("a")
        settle(*[step(lease, f"of-{n}") for n, lease in enumerate(both)])
        settle(*[handed_back(lease) for lease in both])
        found = {c.lease.run_id: [s.name for s in c.steps] for c in claim()}
        assert found == {both[0].run_id: ["of-0"], both[1].run_id: ["of-1"], new.pk: []}

    def test_keeps_its_place_and_its_start(self) -> None:
        lease = leased()
        started_at = stored(lease).started_at
        newer = pending()
        settle(handed_back(lease))
        assert claimed_ids(limit=1) == [lease.run_id]
        assert stored(lease).started_at == started_at
        assert claimed_ids(limit=1) == [newer.pk]

    def test_goes_before_a_newer_run_of_its_key_and_both_complete(self) -> None:
        """A worker died while a newer run of the key waited: neither is failed for it."""
        lease = leased(concurrency_key="c")
        newer = pending(concurrency_key="c")
        expire(lease)
        leases.release_expired()
        (claimed,) = claim()
        assert (claimed.lease.run_id, claimed.lease.generation) == (lease.run_id, 2)
        settle(completed(claimed.lease))
        (after,) = claim()
        assert after.lease.run_id == newer.pk
        settle(completed(after.lease))
        assert statuses(lease, newer) == ["completed", "completed"]


def test_a_claim_inside_a_transaction_that_rolls_back_never_was() -> None:
    run = pending(concurrency_key="c")
    with transaction.atomic():
        assert claimed_ids() == [run.pk]
        transaction.set_rollback(True)
    assert (stored(run).status, stored(run).lease_generation) == ("pending", 0)
