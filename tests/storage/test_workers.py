"""The list of live workers, and whether work flows."""

from datetime import timedelta

import pytest

from django_durably import __version__, clock
from django_durably.models import Run, Worker
from django_durably.storage import queries, workers
from django_durably.storage.workers import WorkerInfo
from tests.storage.making import (
    claim,
    claimed_ids,
    completed,
    handed_back,
    leased,
    pending,
    settle,
)

pytestmark = pytest.mark.django_db


def info(id: str = "w1", jobs: tuple[str, ...] = ("a", "🦊")) -> WorkerInfo:
    return WorkerInfo(id, "host", 4711, 10, jobs)


class TestWorkers:
    def test_registering(self) -> None:
        workers.register(info())
        worker = Worker.objects.get()
        assert (worker.id, worker.host, worker.pid) == ("w1", "host", 4711)
        assert (worker.concurrency, worker.busy, worker.jobs) == (10, 0, ["a", "🦊"])
        assert worker.version == __version__
        assert worker.started_at == worker.heartbeat_at

    def test_registering_again_starts_afresh(self) -> None:
        workers.register(info())
        workers.beat("w1", 7)
        workers.register(info(jobs=("b",)))
        worker = Worker.objects.get()
        assert (worker.busy, worker.jobs) == (0, ["b"])

    def test_beating(self) -> None:
        workers.register(info())
        workers.register(info("w2"))
        with clock.shift(timedelta(seconds=20)):
            workers.beat("w1", 3)
        beaten, other = Worker.objects.order_by("id")
        assert beaten.heartbeat_at - beaten.started_at > timedelta(seconds=19)
        assert (beaten.busy, other.busy) == (3, 0)
        assert other.heartbeat_at == other.started_at

    def test_unregistering(self) -> None:
        workers.register(info())
        workers.register(info("w2"))
        workers.unregister("w1")
        workers.unregister("w1")
        assert [worker.id for worker in Worker.objects.all()] == ["w2"]

    def test_who_is_silent_for_a_lease_counts_as_dead(self) -> None:
        workers.register(info())
        silence = workers.silence_of_the_dead()
        with clock.shift(silence - timedelta(seconds=2)):
            assert workers.count_alive() == 1
        with clock.shift(silence + timedelta(seconds=2)):
            assert workers.count_alive() == 0

    def test_the_dead_are_forgotten_later(self) -> None:
        workers.register(info())
        with clock.shift(timedelta(minutes=4)):
            workers.register(info("w2"))
            assert workers.forget_dead(timedelta(minutes=5)) == 0
            assert workers.forget_dead(timedelta(minutes=3)) == 1
        assert [worker.id for worker in Worker.objects.all()] == ["w2"]


class TestHealth:
    def longest_wait(self, after: timedelta) -> float:
        with clock.shift(after):
            wait = queries.health().longest_wait
        assert wait is not None
        return wait

    def test_of_nothing(self) -> None:
        assert queries.health() == queries.Health(workers=0, longest_wait=None)

    def test_counts_living_workers(self) -> None:
        workers.register(info())
        workers.register(info("w2"))
        assert queries.health().workers == 2

    def test_only_pending_runs_wait(self) -> None:
        settle(completed(leased()))
        leased()
        assert queries.health().longest_wait is None

    def test_the_longest_wait_is_that_of_the_oldest(self) -> None:
        pending()
        with clock.shift(timedelta(seconds=50)):
            pending()
        assert 60 <= self.longest_wait(timedelta(seconds=60)) < 70

    def test_a_run_that_was_handed_back_does_not_hide_one_that_waits_longer(self) -> None:
        lease = leased()
        pending()
        with clock.shift(timedelta(seconds=59)):
            settle(handed_back(lease))
        assert 60 <= self.longest_wait(timedelta(seconds=60)) < 70

    def test_a_run_that_waits_for_its_key_waits_for_no_worker(self) -> None:
        holder = leased(concurrency_key="c")
        waiting = pending(concurrency_key="c")
        assert claim() == ()
        with clock.shift(timedelta(seconds=60)):
            assert queries.health().longest_wait is None
            settle(completed(holder))
        assert Run.objects.filter(blocked=True).count() == 0
        assert 0 <= self.longest_wait(timedelta(seconds=62)) < 10
        assert claimed_ids() == [waiting.pk]
