"""A row that another connection has locked never delays what concerns other runs."""

from collections.abc import Iterator

import pytest

from django_durably.models import Run
from django_durably.storage import batches, claims, keys, leases
from django_durably.storage.changes import ClaimRequest
from tests.races.threads import impatient, rows_held_elsewhere
from tests.storage.making import (
    claim,
    claimed_ids,
    completed,
    expire,
    handed_back,
    leased,
    log,
    pending,
    settle,
    statuses,
    step,
    stored,
)
from tests.support import databases

pytestmark = pytest.mark.skipif(
    databases.chosen() == "sqlite", reason="SQLite has no locks of rows"
)


@pytest.fixture(autouse=True)
def _never_wait(db: None) -> Iterator[None]:
    with impatient():
        yield


def test_a_commit_stores_the_others_and_tells_which_was_locked() -> None:
    locked, free = leased(), leased()
    changes = [step(locked), step(free), log(locked, "x"), completed(locked), completed(free, 1)]
    with rows_held_elsewhere(locked.run_id):
        committed = batches.commit(changes, ClaimRequest("w1", ("a",), 5))
        assert (committed.locked_elsewhere, committed.lost) == ({locked}, {})
        assert [draft.run_id for draft in committed.drafts] == [free.run_id]
    assert statuses(locked, free) == ["leased", "completed"]
    assert stored(locked).steps.count() == stored(locked).logs.count() == 0
    settle(*[change for change in changes if change.lease == locked])
    assert statuses(locked) == ["completed"]


def test_a_renewal_passes_over_it() -> None:
    locked, free = leased(), leased()
    expire(locked, free)
    with rows_held_elsewhere(locked.run_id):
        held = leases.renew([locked, free])
        assert (held.kept, held.locked_elsewhere, held.lost) == ({free}, {locked}, {})
    assert leases.renew([locked]).kept == {locked}


def test_a_claim_takes_the_next() -> None:
    locked, free, last = pending(), pending(), pending(concurrency_key="c")
    with rows_held_elsewhere(locked.pk):
        assert claimed_ids("a", limit=1) == [free.pk]
        assert claimed_ids("a", limit=1) == [last.pk]
        nothing = claims.claim(ClaimRequest("w1", ("a",), 5))
        assert (nothing.runs, nothing.more) == ((), True), "a draining worker must not leave"
    assert claimed_ids("a") == [locked.pk]


def test_a_claim_reaches_behind_many_locked_rows() -> None:
    locked = [pending("a", n) for n in range(12)]
    free = pending()
    with rows_held_elsewhere(*[run.pk for run in locked]):
        assert claimed_ids("a", limit=1) == [free.pk]


def test_expired_leases_of_others_are_released() -> None:
    locked, free = leased(), leased()
    expire(locked, free)
    with rows_held_elsewhere(locked.run_id):
        assert leases.release_expired().released == 1
    assert statuses(locked, free) == ["leased", "pending"]
    assert leases.release_expired().released == 1


def test_unknown_leases_of_others_are_released() -> None:
    locked, free = leased(), leased()
    with rows_held_elsewhere(locked.run_id):
        assert leases.release_unknown("w1", []) == 1
    assert statuses(locked, free) == ["leased", "pending"]


def test_a_run_whose_holder_is_locked_waits_unmarked() -> None:
    """Marking it now could come after the holder's end looked for marks."""
    holder, waiting = leased(concurrency_key="c"), pending("b", concurrency_key="c")
    free = pending("b")
    with rows_held_elsewhere(holder.run_id):
        assert claimed_ids("b") == [free.pk]
        assert not stored(waiting).blocked
    assert claim("b") == ()
    assert stored(waiting).blocked


def test_a_waiting_run_that_is_locked_is_not_marked() -> None:
    leased(concurrency_key="c")
    waiting = pending("b", concurrency_key="c")
    with rows_held_elsewhere(waiting.pk):
        assert claim("b") == ()
        assert not stored(waiting).blocked


def test_a_blocked_run_that_is_locked_is_freed_by_maintenance() -> None:
    holder, waiting = leased(concurrency_key="c"), pending("b", concurrency_key="c")
    assert claim("b") == ()
    with rows_held_elsewhere(waiting.pk):
        settle(completed(holder))
        assert keys.unblock_all_free() == 0
    assert stored(waiting).blocked
    assert keys.unblock_all_free() == 1
    assert claimed_ids("b") == [waiting.pk]


def test_maintenance_does_not_wait_for_a_locked_holder() -> None:
    holder = leased(concurrency_key="c")
    pending("b", concurrency_key="c")
    other = leased(concurrency_key="d")
    forgotten = pending("b", concurrency_key="d")
    assert claim("b") == ()
    Run.objects.filter(pk=other.run_id).delete()
    with rows_held_elsewhere(holder.run_id):
        assert keys.unblock_all_free() == 1
    assert not stored(forgotten).blocked


def test_a_hand_back_of_others_goes_through() -> None:
    locked, free = leased(concurrency_key="c"), leased(concurrency_key="d")
    with rows_held_elsewhere(locked.run_id):
        committed = batches.commit([handed_back(locked), handed_back(free)])
        assert committed.locked_elsewhere == {locked}
        assert committed.freed
    assert statuses(locked, free) == ["leased", "pending"]
