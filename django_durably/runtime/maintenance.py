"""What a worker does beside executing runs: expired leases, forgotten keys, retention."""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import DatabaseError, InterfaceError

from django_durably import signals, wakeups
from django_durably.conf import get_settings
from django_durably.models import Run
from django_durably.runtime import connections
from django_durably.storage import events, keys, leases, retention, rollups, workers

logger = logging.getLogger("django_durably")

_PURGE_BATCH = 500
_ROLLUP_SECONDS = 10.0


@dataclass(slots=True)
class Duty:
    """Something to do every so many seconds. ``act`` returns True when there is more to do now."""

    name: str
    interval: float
    act: Callable[[], bool]
    due: float = 0.0


def release_expired() -> bool:
    """Return the runs of dead workers to the queue."""
    expired = leases.release_expired()
    if expired.released:
        logger.warning("%d leases had expired; their runs are pending again", expired.released)
        wakeups.get_wakeups().publish(wakeups.RUNS)
    if expired.failed:
        logger.error("%d runs failed: their workers died again and again", expired.failed)
        wakeups.get_wakeups().publish(wakeups.EVENTS)
    signals.send_recorded(expired.drafts, expired.event_ids)
    return False


def free_forgotten_keys() -> bool:
    if keys.unblock_all_free():
        wakeups.get_wakeups().publish(wakeups.RUNS)
    return False


def purge_runs() -> bool:
    older_than = get_settings().retain_runs
    if older_than is None:
        return False
    return retention.purge(Run.objects.all(), older_than, _PURGE_BATCH) == _PURGE_BATCH


def purge_events() -> bool:
    limit = 5000
    return events.purge(get_settings().event_retention, limit) == limit


def forget_dead_workers() -> bool:
    workers.forget_dead(workers.silence_of_the_dead() * 10)
    return False


def keep_rollups() -> bool:
    return rollups.keep(timedelta(seconds=_ROLLUP_SECONDS * 0.7))


def forget_rollups() -> bool:
    rollups.forget()
    return False


def duties() -> list[Duty]:
    expiry = min(1.0, get_settings().lease.total_seconds() / 4)
    return [
        Duty("release expired leases", expiry, release_expired),
        Duty("free forgotten keys", 5.0, free_forgotten_keys),
        Duty("purge events", 30.0, purge_events),
        Duty("purge runs", 60.0, purge_runs),
        Duty("forget dead workers", 60.0, forget_dead_workers),
        Duty("keep rollups", _ROLLUP_SECONDS, keep_rollups),
        Duty("forget rollups", 3600.0, forget_rollups),
    ]


class Maintenance:
    """The thread that does the duties, one after the other, with a connection of its own."""

    def __init__(self) -> None:
        self._duties = duties()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="durably-maintenance", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End after the present duty, or after this many seconds."""
        self._stopped.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped.is_set():
            duty = min(self._duties, key=lambda duty: duty.due)
            if self._stopped.wait(max(0.0, duty.due - time.monotonic())):
                break
            more = self._do(duty)
            # Many workers share the work best when they do not keep step.
            pause = 0.05 if more else duty.interval * random.uniform(0.8, 1.2)
            duty.due = time.monotonic() + pause
        connections.close_all()

    def _do(self, duty: Duty) -> bool:
        try:
            return duty.act()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Maintenance (%s) failed and is tried again: %s", duty.name, error)
            connections.is_alive()
            return False
        except Exception:
            logger.exception("Maintenance (%s) failed", duty.name)
            return False
