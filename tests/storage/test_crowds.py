"""Claiming costs the same on a full table as on an empty one.

What may stand around: finished runs, pending runs of jobs that this worker does not take, and runs
at the head of the queue whose concurrency key is held.
"""

from collections.abc import Iterator
from datetime import timedelta
from statistics import median
from time import perf_counter

import pytest
from django.test.utils import CaptureQueriesContext

from django_durably import clock
from django_durably.models import Run
from django_durably.storage import batches, database
from django_durably.storage.changes import ClaimRequest
from tests.storage.crowds import Crowd, Meter, Work, analyze
from tests.storage.making import claim, completed, enqueued, request

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 12
SLOTS = 10
JOBS = ("a", "b")

FINISHED, OTHERS, KEYS = 100_000, 20_000, 500


@pytest.fixture
def meter() -> Iterator[Meter]:
    meter = Meter()
    yield meter
    meter.close()


def fill() -> None:
    crowd = Crowd(clock.now() - timedelta(hours=1))
    for status in ("completed", "failed", "cancelled", "completed"):
        for job in JOBS:
            crowd.add(FINISHED // 8, job, status)
    crowd.add(KEYS, "holder", "leased", keys=KEYS)
    for job in JOBS:
        crowd.add(KEYS, job, "pending", keys=KEYS)
    crowd.add(OTHERS, "of-other-workers", "pending")


def claim_and_settle(meter: Meter) -> tuple[Work, float]:
    """The work and the time of a worker's round: settle all slots and claim them anew."""
    enqueued(*[request(JOBS[n % 2], n) for n in range(SLOTS * (ROUNDS + 1))])
    before, times = meter.read(), []
    taken = claim(*JOBS, limit=SLOTS)
    for _ in range(ROUNDS):
        begun = perf_counter()
        changes = [completed(run.lease, 1) for run in taken]
        committed = batches.commit(changes, ClaimRequest("w1", JOBS, SLOTS))
        times.append(perf_counter() - begun)
        taken = committed.claims.runs
        assert len(taken) == SLOTS
    work = meter.read() - before
    batches.commit([completed(run.lease, 1) for run in taken])
    return work, median(times)


def test_a_full_table_costs_what_an_empty_one_costs(meter: Meter) -> None:
    claim_and_settle(meter)
    analyze()
    empty, empty_time = claim_and_settle(meter)
    fill()
    meet_those_whose_key_is_held()
    analyze()
    full, full_time = claim_and_settle(meter)
    assert full.whole_tables == 0
    # What other workers have leased may be looked at: that many are executed at once.
    assert full.read < empty.read * 2 + 1000 + KEYS * 2 * ROUNDS, f"{full} after {empty}"
    assert full_time < empty_time * 10 + 0.05


def meet_those_whose_key_is_held() -> None:
    """The first claim meets them all, in few statements, and marks them; no later one does."""
    (free,) = enqueued(request("a"))
    with CaptureQueriesContext(database.connection()) as met:
        (taken,) = claim(*JOBS, limit=1)
    assert taken.lease.run_id == free.pk
    assert Run.objects.filter(blocked=True).count() == KEYS * len(JOBS)
    assert len(met) < 100
    batches.commit([completed(taken.lease)])
    enqueued(request("a"))
    with CaptureQueriesContext(database.connection()) as later:
        (taken,) = claim(*JOBS, limit=1)
    assert len(later) < 10
    batches.commit([completed(taken.lease)])
