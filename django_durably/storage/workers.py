"""The list of live workers, for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django_durably import __version__, clock
from django_durably.conf import get_settings
from django_durably.models import Worker
from django_durably.storage import database


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    id: str
    host: str
    pid: int
    concurrency: int
    jobs: Sequence[str]


@database.retrying
def register(worker: WorkerInfo) -> None:
    now = clock.now()
    Worker.objects.using(database.connection().alias).update_or_create(
        id=worker.id,
        defaults={
            "host": worker.host,
            "pid": worker.pid,
            "version": __version__,
            "concurrency": worker.concurrency,
            "busy": 0,
            "jobs": list(worker.jobs),
            "started_at": now,
            "heartbeat_at": now,
        },
    )


@database.retrying
def beat(worker_id: str, busy: int) -> None:
    workers = Worker.objects.using(database.connection().alias)
    workers.filter(id=worker_id).update(heartbeat_at=clock.now(), busy=busy)


@database.retrying
def unregister(worker_id: str) -> None:
    Worker.objects.using(database.connection().alias).filter(id=worker_id).delete()


def silence_of_the_dead() -> timedelta:
    """After so long without a beat a worker counts as dead."""
    settings = get_settings()
    return max(settings.lease, settings.lease_renew * 3)


def count_alive() -> int:
    workers = Worker.objects.using(database.connection().alias)
    return workers.filter(heartbeat_at__gte=clock.now() - silence_of_the_dead()).count()


def forget_dead(silent_for: timedelta) -> int:
    """Remove workers that have not been heard of for so long; how many."""
    workers = Worker.objects.using(database.connection().alias)
    return workers.filter(heartbeat_at__lt=clock.now() - silent_for).delete()[0]
