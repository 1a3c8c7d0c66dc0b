"""The group commit: everything a process wants stored goes through one writer.

The writer commits what is waiting, in one transaction, as soon as it can. Nobody waits longer than
one commit, an idle system commits at once, and a busy one pays one commit for many changes.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from django_durably import signals, wakeups
from django_durably.conf import get_settings
from django_durably.events import EventType
from django_durably.exceptions import CancelledError, DurablyError, LeaseLostError
from django_durably.runtime import connections
from django_durably.storage import batches, database, leases
from django_durably.storage.batches import Committed
from django_durably.storage.changes import Change, ClaimRequest, Lease
from django_durably.storage.claims import Claims

logger = logging.getLogger("django_durably")

# Reports (logs, progress, step starts) alone are committed no more often than this, in seconds.
REPORT_INTERVAL = 0.05
_LOCKED_RETRY = 0.02
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
# A batch that breaks so many connections, of a database that answers, is looked at more closely.
_MOST_BREAKS = 5
# Seconds after which a commit whose connection broke is sure to be over.
_COMMIT_IS_OVER = 1.0
# A body that reports faster than the database stores waits once so many changes are queued.
_MOST_WAITING = 5000


class NotStored(DurablyError):
    """The database refused a change; the message is its own."""


Resolve = Callable[[BaseException | None], None]


class Claimer(Protocol):
    """Who wants runs, and takes them."""

    def request(self) -> ClaimRequest | None:
        """What to claim with the next commit, if anything."""

    def ask(self) -> None:
        """There may be something to claim."""

    def accept(self, claims: Claims, asked_at: float) -> None:
        """Take these runs; ``asked_at`` is the monotonic time before they were claimed."""

    def leases(self) -> list[Lease]:
        """All that it has taken and not yet settled."""


class _Entry:
    """``breaks`` counts the connections that broke while it was committed: each leaves a doubt."""

    __slots__ = ("_queued_at", "breaks", "change", "resolve", "urgent")

    def __init__(self, change: Change | None, resolve: Resolve | None, urgent: bool) -> None:
        self.change = change
        self.resolve = resolve
        self.urgent = urgent
        self.breaks = 0
        self._queued_at = time.monotonic()

    def is_given_up(self) -> bool:
        """True when a body has waited for a locked row for longer than its lease: it may be the
        body's own transaction that holds it. The end of a run waits on: nobody waits for it."""
        waits = self.resolve is not None and self.change is not None and self.change.step
        lease = get_settings().lease.total_seconds()
        return bool(waits) and time.monotonic() - self._queued_at > lease


class Journal:
    """The one writer of a worker process."""

    has_own_connection = True

    def __init__(self, owner: str, claimer: Claimer) -> None:
        self._owner = owner
        self._claimer = claimer
        self._queue: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._deferred: list[_Entry] = []
        self._last_commit = 0.0
        self._last_break: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="durably-journal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, change: Change) -> None:
        """Store a report with the next batch; nobody waits for it."""
        self._queue.put(_Entry(change, None, urgent=False))

    def slow_down(self) -> None:
        """Wait while far more is queued than one batch takes. Not to be called on an event loop."""
        while self._queue.qsize() > _MOST_WAITING and not self._closing:
            self.flush()

    def store(self, change: Change) -> None:
        """Store a change and wait until it is committed.

        Raises LeaseLostError or CancelledError when the run is no longer this worker's, and
        NotStored when the database refuses the change.
        """
        done = threading.Lock()
        done.acquire()
        failure: list[BaseException | None] = []

        def resolve(error: BaseException | None) -> None:
            failure.append(error)
            done.release()

        self._queue.put(_Entry(change, resolve, urgent=True))
        done.acquire()
        if failure[0] is not None:
            raise failure[0]

    async def astore(self, change: Change) -> None:
        """The same, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def resolve(error: BaseException | None) -> None:
            loop.call_soon_threadsafe(settle, error)

        self._queue.put(_Entry(change, resolve, urgent=True))
        await done

    def settle(self, change: Change, resolve: Resolve) -> None:
        """Store the end of a lease; ``resolve`` is called in the journal's thread."""
        self._queue.put(_Entry(change, resolve, urgent=True))

    def wake(self) -> None:
        """Commit soon, and ask the claimer."""
        self._queue.put(_Entry(None, None, urgent=True))

    def flush(self) -> None:
        """Wait until all that was submitted so far is committed."""
        done = threading.Event()
        self._queue.put(_Entry(None, lambda _: done.set(), urgent=True))
        done.wait()

    @property
    def failed(self) -> bool:
        """True when the thread has died of an error: the process cannot store anything more."""
        return not self._thread.is_alive() and not self._closing

    def close(self, timeout: float) -> bool:
        """Commit what is waiting and end the thread; False when that takes longer than this."""
        self._closing = True
        self.wake()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # The writer's thread

    def _run(self) -> None:
        try:
            while not (self._closing and self._queue.empty() and not self._deferred):
                self._write(self._next_batch())
        except BaseException:
            logger.critical("The journal failed; the worker cannot go on", exc_info=True)
            raise
        finally:
            connections.close_all()

    def _next_batch(self) -> list[_Entry]:
        """Wait for something worth a commit, and take all that is there by then."""
        batch, self._deferred = self._deferred, []
        deadline = time.monotonic() + _LOCKED_RETRY if batch else None
        while True:
            try:
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
                entry = self._queue.get(timeout=timeout)
            except queue.Empty:
                return batch
            if self._drain(entry, batch):
                return batch
            due = self._last_commit + REPORT_INTERVAL
            deadline = due if deadline is None else min(deadline, due)

    def _drain(self, entry: _Entry, batch: list[_Entry]) -> bool:
        urgent = entry.urgent
        batch.append(entry)
        for _ in range(self._queue.qsize()):
            more = self._queue.get_nowait()
            urgent = urgent or more.urgent
            batch.append(more)
        return urgent

    def _write(self, batch: list[_Entry]) -> None:
        changes = self._until_settled(_without_stale_progress(batch))
        request = self._claimer.request()
        if changes or request:
            self._commit(changes, request)
        for entry in batch:
            if entry.change is None and entry.resolve is not None:
                entry.resolve(None)

    def _until_settled(self, batch: list[_Entry]) -> list[_Entry]:
        """The changes to store now. What a body left behind wants stored after the end of its
        run is asked for in the next batch, where it finds the lease lost."""
        entries = [entry for entry in batch if entry.change is not None]
        kept = {id(change) for change in batches.until_settled(_changes(entries))}
        self._deferred += [entry for entry in entries if id(entry.change) not in kept]
        return [entry for entry in entries if id(entry.change) in kept]

    def _commit(self, entries: list[_Entry], request: ClaimRequest | None) -> None:
        pause, answers = 0.0, 0
        while True:
            asked_at = time.monotonic()
            try:
                entries = self._without_stored(entries)
                answers += 1
                committed = batches.commit(_changes(entries), request)
                break
            except Exception as error:
                if not _is_passing(error) or answers > _MOST_BREAKS:
                    self._commit_one_by_one(entries, error)
                    return
                self._note_break(entries)
                pause = self._wait_for_the_database(error, pause)
        self._announce(committed)
        self._resolve(entries, committed)
        if request is not None:
            self._claimer.accept(committed.claims, asked_at)

    def _note_break(self, entries: Sequence[_Entry]) -> None:
        self._last_break = time.monotonic()
        for entry in entries:
            entry.breaks += 1

    def _without_stored(self, entries: list[_Entry]) -> list[_Entry]:
        """After a broken connection: resolve what has been committed all the same.

        The commit may still be under way. It holds its rows locked until it is over, so that this
        is asked again before anything is stored twice.
        """
        self._give_up_unknown_claims()
        doubtful = [entry for entry in entries if entry.breaks]
        if not doubtful:
            return entries
        stored = batches.stored_leases(_changes(doubtful))
        done = {e for e in doubtful if e.change is not None and e.change.lease in stored}
        if done:
            self._claimer.ask()
            wakeups.get_wakeups().publish(wakeups.EVENTS, wakeups.RUNS)
        for entry in done:
            if entry.resolve is not None:
                entry.resolve(None)
        return [entry for entry in entries if entry not in done]

    def _give_up_unknown_claims(self) -> None:
        """Release the runs of a claim that was committed without our hearing of it."""
        if self._last_break is None:
            return
        is_over = time.monotonic() - self._last_break > _COMMIT_IS_OVER
        leases.release_unknown(self._owner, self._claimer.leases())
        if is_over:
            self._last_break = None

    def _wait_for_the_database(self, error: Exception, pause: float) -> float:
        """Wait a little longer each time; then the batch is tried again."""
        pause = min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        logger.warning("The database is away, next try in %.2f s: %s", pause, error)
        report_error(error, "journal")
        time.sleep(pause)
        return pause

    def _commit_one_by_one(self, entries: list[_Entry], error: Exception) -> None:
        """The database refused something in the batch: find it, and commit the others without."""
        if not entries:
            logger.error("The claim failed: %s", error, exc_info=error)
            report_error(error, "claim")
            time.sleep(_FIRST_PAUSE)
            return
        for entry in entries:
            try:
                if not self._without_stored([entry]):
                    continue
                committed = batches.commit(_changes([entry]))
            except Exception as refusal:
                self._refuse(entry, refusal)
            else:
                self._announce(committed)
                self._resolve([entry], committed)
        self.wake()

    def _refuse(self, entry: _Entry, refusal: Exception) -> None:
        """What passes is tried again with the next batch, but not what breaks all connections."""
        if _is_passing(refusal) and entry.breaks < 2 * _MOST_BREAKS:
            self._note_break([entry])
            self._deferred.append(entry)
            return
        assert entry.change is not None
        extra = {"run_id": str(entry.change.lease.run_id)}
        logger.warning("The database refused a change: %s", refusal, extra=extra)
        report_error(refusal, "journal")
        if entry.resolve is not None:
            entry.resolve(NotStored(f"The database refused the change: {refusal}"))

    def _announce(self, committed: Committed) -> None:
        self._last_commit = time.monotonic()
        if committed.freed:
            self._claimer.ask()
            wakeups.get_wakeups().publish(wakeups.RUNS)
        if committed.drafts:
            wakeups.get_wakeups().publish(wakeups.EVENTS)
            signals.send_recorded(committed.drafts, committed.event_ids)

    def _resolve(self, entries: Sequence[_Entry], committed: Committed) -> None:
        for entry in entries:
            if entry.change is None:
                continue
            lease = entry.change.lease
            if lease in committed.locked_elsewhere and not entry.is_given_up():
                self._deferred.append(entry)
            elif lease in committed.locked_elsewhere and entry.resolve is not None:
                entry.resolve(LeaseLostError("The run's row was locked for longer than its lease"))
            elif entry.resolve is not None:
                entry.resolve(why_lost(lease, committed))


def _changes(entries: Sequence[_Entry]) -> list[Change]:
    return [entry.change for entry in entries if entry.change is not None]


def _is_passing(error: Exception) -> bool:
    """True for what is no fault of any change: a broken connection, a lock, a deadlock."""
    is_alive = connections.is_alive()  # which closes a broken one
    return not is_alive or database.is_disconnect(error) or database.is_transient(error)


def report_error(error: Exception, where: str) -> None:
    """Tell the listeners of ``worker_error``; ``where`` is the part of the worker."""
    signals.send_unrecorded(EventType.WORKER_ERROR, None, "", {}, error=str(error), context=where)


def why_lost(lease: Lease, committed: Committed) -> BaseException | None:
    if lease not in committed.lost:
        return None
    if committed.lost[lease] == "cancelled":
        return CancelledError("The run was cancelled")
    return LeaseLostError("The lease of the run was lost")


def _without_stale_progress(batch: list[_Entry]) -> list[_Entry]:
    """Drop progress that a later one of the same run and batch replaces."""
    latest: dict[Lease, _Entry] = {}
    for entry in batch:
        if entry.change is not None and entry.change.progress is not None:
            latest[entry.change.lease] = entry
    if not latest:
        return batch
    return [
        entry
        for entry in batch
        if entry.change is None
        or entry.change.progress is None
        or latest[entry.change.lease] is entry
    ]
