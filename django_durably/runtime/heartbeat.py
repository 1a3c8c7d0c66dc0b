"""One beat renews all leases of the process, and learns which were cancelled or lost."""

import logging
import threading
import time

from django.db import DatabaseError, InterfaceError

from django_durably import signals
from django_durably.conf import get_settings
from django_durably.events import EventType
from django_durably.runtime import connections
from django_durably.runtime.active import ActiveRuns
from django_durably.storage import leases, workers
from django_durably.storage.changes import Lease
from django_durably.storage.workers import WorkerInfo

logger = logging.getLogger("django_durably")

# A row that was locked at the beat is tried again so soon: the journal holds rows for milliseconds.
_LOCKED_RETRY = 0.1
_ERROR_RETRY = 0.5
# Hints may come in thousands per second; a look at the leases is worth this many per second.
_LOOK_INTERVAL = 0.1


def deadline(asked_at: float) -> float:
    """Monotonic time at which a lease that was asked for then must no longer be relied on.

    A little before it runs out in the database, for the clocks' different speeds and the time
    that a body needs to notice.
    """
    lease = get_settings().lease.total_seconds()
    return asked_at + lease - min(1.0, lease / 10)


class Heartbeat:
    """The thread that renews, with a connection of its own: nothing in the journal delays it."""

    def __init__(self, worker: WorkerInfo, active: ActiveRuns) -> None:
        self._worker = worker
        self._active = active
        self._look = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="durably-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Sign off and end; a database that does not answer is waited for no longer than this."""
        self._stopped.set()
        self._look.set()
        self._thread.join(timeout)

    @property
    def failed(self) -> bool:
        """True when the thread has died: no lease of the process is renewed any more."""
        return not self._thread.is_alive() and not self._stopped.is_set()

    def look(self) -> None:
        """Find out soon whether a run was cancelled."""
        self._look.set()

    def _run(self) -> None:
        interval = get_settings().lease_renew.total_seconds()
        next_beat = 0.0
        registered = False
        while not self._stopped.is_set():
            self._look.clear()
            try:
                if time.monotonic() >= next_beat:
                    registered = registered or self._register()
                    locked = self._beat()
                    next_beat = time.monotonic() + (_LOCKED_RETRY if locked else interval)
                else:
                    self._find_lost()
            except Exception as error:
                # Whatever it is: without a heartbeat every lease is lost.
                is_known = isinstance(error, DatabaseError | InterfaceError)
                logger.warning(
                    "The heartbeat failed and is tried again: %s",
                    error,
                    exc_info=None if is_known else error,
                )
                connections.is_alive()
                next_beat = time.monotonic() + _ERROR_RETRY
            self._pause(next_beat)
        self._unregister()

    def _pause(self, next_beat: float) -> None:
        """Until the next beat, or until a hint; hints are worth a look only so often.

        Not every hint arrives, and some databases send none: hence a look at every poll.
        """
        if not self._stopped.wait(min(_LOOK_INTERVAL, max(0.0, next_beat - time.monotonic()))):
            poll = get_settings().poll.total_seconds()
            self._look.wait(min(poll, max(0.0, next_beat - time.monotonic())))

    def _register(self) -> bool:
        workers.register(self._worker)
        return True

    def _beat(self) -> set[Lease]:
        """Renew everything; the leases that were locked by somebody."""
        asked_at = time.monotonic()
        wanted = self._active.leases()
        locked: set[Lease] = set()
        if wanted:
            held = leases.renew(wanted)
            for lease in held.kept:
                self._active.renewed(lease, deadline(asked_at))
                self._announce(lease)
            for lease, status in held.lost.items():
                self._active.lost(lease, status)
            locked = held.locked_elsewhere
        workers.beat(self._worker.id, self._active.busy)
        return locked

    def _announce(self, lease: Lease) -> None:
        execution = self._active.get(lease)
        if execution is not None:
            run = execution.run
            signals.send_unrecorded(
                EventType.RUN_LEASE_RENEWED, lease.run_id, run.job_name, run.labels
            )

    def _find_lost(self) -> None:
        wanted = self._active.leases()
        if wanted:
            for lease, status in leases.lost_among(wanted).items():
                self._active.lost(lease, status)

    def _unregister(self) -> None:
        try:
            workers.unregister(self._worker.id)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The worker could not sign off: %s", error)
        finally:
            connections.close_all()
