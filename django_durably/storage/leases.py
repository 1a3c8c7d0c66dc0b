"""Leases: who holds which run, renewed by heartbeats, lost by expiry."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django_durably import clock
from django_durably.conf import get_settings
from django_durably.events import EventDraft, EventType
from django_durably.storage import database, events, keys
from django_durably.storage.changes import Lease


@dataclass(frozen=True, slots=True)
class Hold:
    """Which of the asked leases are still ours, now locked, and what became of the others."""

    kept: set[Lease]
    locked_elsewhere: set[Lease]
    lost: dict[Lease, str | None]  # the run's status now; None when it is gone


def hold(leases: Iterable[Lease]) -> Hold:
    """Lock the runs of these leases, never waiting for another's lock.

    A run that is ours but locked by another transaction is told apart from a lost one by a
    second look without a lock.
    """
    wanted = list(leases)
    rows = _read(wanted, f"AND {database.still('leased')}{database.skip_locked()}")
    kept = {lease for lease in wanted if _is_held(rows.get(lease.run_id), lease)}
    return sort_out(wanted, kept)


def sort_out(wanted: Iterable[Lease], kept: set[Lease]) -> Hold:
    """What became of the leases that could not be locked."""
    rest = [lease for lease in wanted if lease not in kept]
    lost = lost_among(rest)
    return Hold(kept, {lease for lease in rest if lease not in lost}, lost)


def still_cancelled(leases: Sequence[Lease]) -> set[Lease]:
    """Those whose run was cancelled under the lease: its history may still be written."""
    rows = _read(leases, "")
    return {lease for lease in leases if rows.get(lease.run_id) == ("cancelled", lease.generation)}


def _read(leases: Sequence[Lease], condition: str) -> dict[UUID, tuple[str, int]]:
    if not leases:
        return {}
    rows = database.select(
        f"SELECT id, status, lease_generation FROM durably_run {database.using_index('PRIMARY')}"
        f"WHERE id IN ({database.placeholders(len(leases))}) {condition}",
        [database.adapt_id(lease.run_id) for lease in leases],
    )
    return {database.read_id(id_): (status, int(gen)) for id_, status, gen in rows}


def _is_held(row: tuple[str, int] | None, lease: Lease) -> bool:
    return row is not None and row == ("leased", lease.generation)


@database.retrying
def renew(leases: Sequence[Lease]) -> Hold:
    """Give these leases their full time again, all in one statement.

    A locked row is passed over and reported in ``locked_elsewhere``: the next beat tries again.
    """
    with database.atomic():
        held = hold(leases)
        if held.kept:
            expires = clock.database_now_sql(database.connection(), plus=get_settings().lease)
            database.execute(
                f"UPDATE durably_run SET lease_expires_at = {expires} "
                f"WHERE id IN ({database.placeholders(len(held.kept))})",
                [database.adapt_id(lease.run_id) for lease in held.kept],
            )
    return held


def status_of(leases: Sequence[Lease]) -> dict[Lease, str]:
    """The status of the runs that nobody has claimed since these leases."""
    rows = _read(leases, "")
    return {
        lease: row[0]
        for lease in leases
        if (row := rows.get(lease.run_id)) and row[1] == lease.generation
    }


@database.retrying
def release_unknown(owner: str, known: Sequence[Lease]) -> int:
    """Return runs to pending that this worker leased without learning of it; how many.

    That happens when a connection breaks between the commit of a claim and its answer.
    """
    with database.atomic():
        rows = database.select(
            "SELECT id, concurrency_key FROM durably_run "
            f"WHERE status = 'leased' AND lease_owner = %s{database.skip_locked()}",
            [owner],
        )
        mine = {lease.run_id for lease in known}
        unknown = [(id_, key) for id_, key in rows if database.read_id(id_) not in mine]
        _return_to_pending([id_ for id_, _ in unknown], crashed=False)
        keys.unblock([key for _, key in unknown if key is not None])
    return len(unknown)


def lost_among(leases: Sequence[Lease]) -> dict[Lease, str | None]:
    """The leases that are no longer ours, with their runs' status; reads only."""
    rows = _read(leases, "")
    return {
        lease: rows[lease.run_id][0] if lease.run_id in rows else None
        for lease in leases
        if not _is_held(rows.get(lease.run_id), lease)
    }


@dataclass(frozen=True, slots=True)
class Expired:
    """What ``release_expired`` found: runs that wait again, and runs that crashed too often."""

    released: int
    failed: int
    drafts: tuple[EventDraft, ...]
    event_ids: tuple[int, ...]


@database.retrying
def release_expired(limit: int = 500) -> Expired:
    """Return runs whose lease has run out to pending, and count the crash.

    A run that has cost ``MAX_CRASHES`` workers in a row fails instead.
    """
    settings = get_settings()
    now = clock.database_now_sql(database.connection())
    with database.atomic():
        rows = database.select(
            "SELECT id, crashes + 1, job_name, labels, concurrency_key FROM durably_run "
            f"WHERE status = 'leased' AND lease_expires_at < {now} "
            f"ORDER BY lease_expires_at LIMIT %s{database.skip_locked()}",
            [limit],
        )
        if not rows:
            return Expired(0, 0, (), ())
        poisonous = [row for row in rows if row[1] >= settings.max_crashes]
        waiting = [row[0] for row in rows if row[1] < settings.max_crashes]
        _return_to_pending(waiting, crashed=True)
        error = _crash_message(settings.max_crashes)
        _fail([row[0] for row in poisonous], error)
        drafts = tuple(
            EventDraft(
                EventType.RUN_FAIL,
                database.read_id(id_),
                job_name,
                labels,
                {"error": error, "failedStepName": "unknown"},
            )
            for id_, _, job_name, labels, _ in poisonous
        )
        event_ids = tuple(events.record(drafts))
        keys.unblock([row[4] for row in rows if row[4] is not None])
    return Expired(len(waiting), len(poisonous), drafts, event_ids)


def _crash_message(crashes: int) -> str:
    return (
        f"The worker died {crashes} times in a row while it executed this run, "
        "without a step completing in between"
    )


def _return_to_pending(ids: Sequence[object], crashed: bool) -> None:
    if ids:
        database.execute(
            "UPDATE durably_run SET status = 'pending', crashes = crashes + %s, "
            "lease_owner = NULL, lease_expires_at = NULL, updated_at = %s "
            f"WHERE id IN ({database.placeholders(len(ids))})",
            [int(crashed), database.adapt_time(clock.now()), *ids],
        )


def _fail(ids: Sequence[object], error: str) -> None:
    if ids:
        now = database.adapt_time(clock.now())
        database.execute(
            "UPDATE durably_run SET status = 'failed', crashes = crashes + 1, error = %s, "
            "lease_owner = NULL, lease_expires_at = NULL, completed_at = %s, updated_at = %s "
            f"WHERE id IN ({database.placeholders(len(ids))})",
            [error, now, now, *ids],
        )
