"""Claims that meet: each run is taken once, and nobody waits for another's claim."""

from collections import Counter
from functools import partial
from itertools import chain
from threading import Lock
from uuid import UUID

import pytest
from django.db import transaction

from django_durably.models import Run
from django_durably.storage import batches, claims, keys
from django_durably.storage.changes import ClaimRequest, Lease
from tests.races.threads import Background, at_once, until_somebody_waits_for_a_lock
from tests.storage.making import (
    claim,
    claimed_ids,
    completed,
    enqueued,
    ids,
    leased,
    pending,
    request,
    settle,
    statuses,
    stored,
)
from tests.support import databases
from tests.support.waiting import eventually

writers_overlap = pytest.mark.skipif(
    databases.chosen() == "sqlite", reason="SQLite has one writer at a time"
)

THREADS = 8


def test_claims_of_many_threads_take_each_run_once() -> None:
    runs = enqueued(*[request("a", n) for n in range(200)])

    def take_all(owner: str) -> list[Lease]:
        taken: list[Lease] = []
        while more := claim("a", limit=7, owner=owner):
            taken += [run.lease for run in more]
        return taken

    taken = at_once(*[partial(take_all, f"w{n}") for n in range(THREADS)])
    leases = [lease for some in taken for lease in some]
    assert sorted(lease.run_id for lease in leases) == ids(runs)
    assert {lease.generation for lease in leases} == {1}
    owners = dict(Run.objects.values_list("id", "lease_owner"))
    assert owners == {lease.run_id: lease.owner for lease in leases}


@pytest.mark.parametrize("attempt", range(4))
def test_two_claims_that_take_keys_in_different_order(attempt: int) -> None:
    """Neither deadlocks; each key goes to one of them, and both get their runs without keys."""
    names = [f"{n}" for n in range(12)]
    of_a = enqueued(*[request("a", concurrency_key=key) for key in names], request("a"))
    of_b = enqueued(*[request("b", concurrency_key=key) for key in reversed(names)], request("b"))
    by_a, by_b = at_once(
        lambda: claimed_ids("a", limit=20, owner="w1"),
        lambda: claimed_ids("b", limit=20, owner="w2"),
    )
    assert (of_a[-1].pk in by_a, of_b[-1].pk in by_b) == (True, True)
    holders = Counter(Run.objects.filter(status="leased").values_list("concurrency_key", flat=True))
    assert max(holders[key] for key in names) == 1
    assert len(by_a) + len(by_b) == sum(holders.values())
    claim(limit=50)
    assert {*Run.objects.filter(status="leased").values_list("leased_key", flat=True)} == {
        *names,
        None,
    }


@writers_overlap
def test_a_collision_costs_one_run_its_turn_and_no_waiting() -> None:
    mine = pending("a", concurrency_key="c")
    collides, free = pending("b", concurrency_key="c"), pending("b", concurrency_key="d")
    unkeyed = pending("b")
    with Background(lambda: claimed_then_looked_at("a"), before="LIMIT 21") as claiming:
        taken = claims.claim(ClaimRequest("w2", ("b",), 10))
        early = [run.lease.run_id for run in taken.runs]
        assert (stored(collides).status, stored(collides).blocked) == ("pending", False)
        assert claiming.go_on() == [mine.pk]
    assert unkeyed.pk in early
    assert taken.more, "who lost a turn must be asked for again"
    late = claimed_ids("b")
    # MariaDB's lock on a key reaches to the next one, which then loses its turn, too.
    assert sorted(early + late) == ids([free, unkeyed])
    if databases.chosen() == "postgresql":
        assert late == []
    assert stored(collides).blocked


def claimed_then_looked_at(job: str) -> list[UUID]:
    """Claims in a transaction that goes on to another statement."""
    with transaction.atomic():
        taken = claimed_ids(job)
        stored(taken[0])
        return taken


@writers_overlap
def test_a_key_whose_claim_is_rolled_back_is_free() -> None:
    mine, other = pending("a", concurrency_key="c"), pending("b", concurrency_key="c")
    with transaction.atomic():
        assert claimed_ids("a") == [mine.pk]
        with Background(lambda: claimed_ids("b", owner="w2")) as claiming:
            assert claiming.go_on() == []
        transaction.set_rollback(True)
    assert claimed_ids("b", owner="w2") == [other.pk]


def test_a_settlement_and_a_claim_hand_a_key_over() -> None:
    for _ in range(10):
        holder = leased("a", concurrency_key="c")
        waiting = pending("b", concurrency_key="c")
        _, early = at_once(partial(settle_in_the_end, holder), partial(claimed_ids, "b"))
        assert early in ([], [waiting.pk])
        late = claimed_ids("b")
        assert early + late == [waiting.pk]
        settle_in_the_end(Lease(waiting.pk, 1, "w1", "c"))


def settle_in_the_end(lease: Lease) -> list[UUID]:
    """Completes the run, again and again while a claim holds its row."""

    def is_settled() -> bool:
        committed = batches.commit([completed(lease)])
        assert committed.lost == {}
        return not committed.locked_elsewhere

    eventually(is_settled)
    return []


class TestMarkingAWaiter:
    """The holder of a key ends while a claim marks the run that waits for it: never forgotten."""

    @pytest.fixture
    def holder(self) -> Lease:
        return leased("a", concurrency_key="c")

    @pytest.fixture
    def waiting(self, holder: Lease) -> Run:
        return pending("b", concurrency_key="c")

    @writers_overlap
    def test_the_holder_ends_after_it_was_seen(self, holder: Lease, waiting: Run) -> None:
        """The claim has read who holds the key, and locks the holder too late."""
        with Background(lambda: claimed_ids("b"), before="SELECT leased_key FROM") as claiming:
            settle(completed(holder))
            assert claiming.go_on() == []
        assert not stored(waiting).blocked
        assert claimed_ids("b") == [waiting.pk]

    @writers_overlap
    def test_the_holder_ends_while_the_mark_is_set(self, holder: Lease, waiting: Run) -> None:
        """The claim has locked the holder: its end comes in a later round, and clears the mark."""
        with Background(lambda: claimed_ids("b"), before="SET blocked = true") as claiming:
            committed = batches.commit([completed(holder)])
            assert committed.locked_elsewhere == {holder}
            assert claiming.go_on() == []
        assert stored(waiting).blocked
        assert batches.commit([completed(holder)]).freed
        assert claimed_ids("b") == [waiting.pk]

    @writers_overlap
    def test_the_holder_is_cancelled_while_the_mark_is_set(
        self, holder: Lease, waiting: Run
    ) -> None:
        """A cancellation waits for the claim, and then sees its mark."""
        with (
            Background(lambda: claimed_ids("b"), before="SET blocked = true") as claiming,
            Background(lambda: stored(holder).cancel()) as cancelling,
        ):
            until_somebody_waits_for_a_lock()
            assert claiming.go_on() == []
            cancelling.go_on()
        assert statuses(holder) == ["cancelled"]
        assert not stored(waiting).blocked
        assert claimed_ids("b") == [waiting.pk]

    def test_at_any_moment(self, holder: Lease, waiting: Run) -> None:
        _, *early = at_once(
            lambda: settle_in_the_end(holder), *[lambda: claimed_ids("b", limit=1)] * 3
        )
        assert [*chain(*early), *claimed_ids("b")] == [waiting.pk]

    def test_maintenance_at_the_same_time(self, holder: Lease, waiting: Run) -> None:
        def maintain() -> list[UUID]:
            keys.unblock_all_free()
            return []

        _, early, _ = at_once(lambda: settle_in_the_end(holder), lambda: claimed_ids("b"), maintain)
        assert early + claimed_ids("b") == [waiting.pk]


def test_workers_that_share_keys_execute_all_and_never_two_of_a_key() -> None:
    """No maintenance runs here: what a settlement frees must be enough."""
    jobs, names = [f"j{n}" for n in range(8)], [f"k{n}" for n in range(6)]
    runs = enqueued(*[request(job, concurrency_key=key) for key in names for job in jobs])
    executing: set[str] = set()
    done: list[UUID] = []
    guard = Lock()

    def begin(keys_: list[str]) -> None:
        with guard:
            assert not executing & {*keys_}
            executing.update(keys_)

    def end(lease: Lease) -> None:
        assert lease.key is not None
        with guard:
            executing.discard(lease.key)
            done.append(lease.run_id)

    def work(owner: str) -> None:
        mine = [run.lease for run in claim(*jobs, limit=3, owner=owner)]
        begin([lease.key for lease in mine if lease.key is not None])
        for lease in mine:
            end(lease)
            settle_in_the_end(lease)

    def work_until_all_is_done(owner: str) -> None:
        def is_done() -> bool:
            work(owner)
            return len(done) == len(runs)

        eventually(is_done, timeout=25)

    at_once(*[partial(work_until_all_is_done, f"w{n}") for n in range(4)])
    assert sorted(done) == ids(runs)
    assert {*Run.objects.values_list("status", flat=True)} == {"completed"}


def test_a_claim_in_the_journals_commit_collides_like_any_other() -> None:
    of_a = enqueued(*[request("a", concurrency_key=f"{n}") for n in range(6)])
    enqueued(*[request("b", concurrency_key=f"{n}") for n in reversed(range(6))])
    mine, others = leased("x", owner="w1"), leased("x", owner="w2")

    def commit(lease: Lease, job: str) -> int:
        taken = batches.commit([completed(lease)], ClaimRequest(lease.owner, (job,), 10))
        assert (taken.lost, taken.locked_elsewhere) == ({}, set())
        return len(taken.claims.runs)

    counts = at_once(lambda: commit(mine, "a"), lambda: commit(others, "b"))
    assert sum(counts) == Run.objects.filter(status="leased").count() <= len(of_a)
    assert statuses(mine, others) == ["completed", "completed"]
