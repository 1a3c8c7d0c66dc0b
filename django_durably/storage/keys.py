"""Concurrency keys: one run executes per key, and the others wait without being looked at.

A claim that meets a run whose key is held marks it ``blocked``, which takes it out of the index
that claims read; whatever ends a lease frees the runs that its key blocked. So a thousand blocked
runs at the head of the queue are met once, not at every claim.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django_durably import clock
from django_durably.storage import database


def reserve(keys: Collection[str]) -> set[str]:
    """The keys among these that this transaction may lease; two claims never wait for each other.

    On PostgreSQL an advisory lock per key, held until the transaction ends, and a look after it:
    once a key is locked, nobody else can lease it. SQLite has one writer at a time; on MariaDB the
    unique index decides, run by run.
    """
    if database.connection().vendor != "postgresql":
        return set(keys)
    numbers = {_number(key): key for key in keys}
    rows = database.select(
        "SELECT n FROM unnest(%s::bigint[]) AS n WHERE pg_try_advisory_xact_lock(n)",
        [sorted(numbers)],
    )
    reserved = {numbers[number] for (number,) in rows}
    return reserved - held(reserved).keys()


def _number(key: str) -> int:
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=b"durably-key").digest()
    return int.from_bytes(digest, signed=True)


def held(keys: Collection[str]) -> dict[str, Any]:
    """The keys among these that a leased run holds, with the id of that run."""
    if not keys:
        return {}
    rows = database.select(
        "SELECT leased_key, id FROM durably_run "
        f"WHERE leased_key IN ({database.placeholders(len(keys))})",
        list(keys),
    )
    return dict(rows)


def block(waiting: Sequence[tuple[Any, str]], holders: dict[str, Any]) -> None:
    """Mark waiting runs (id, key) as blocked, as long as their key's holder cannot end meanwhile.

    The holder's row is locked first. What ends a lease locks the same row, so it either comes
    before, and the row is no longer leased here, or after, and then it sees the mark and takes
    it away. A holder that is locked at this moment leaves its waiters unmarked until next time.
    """
    rows = database.select(
        f"SELECT leased_key FROM durably_run {database.using_index('PRIMARY')}"
        f"WHERE id IN ({database.placeholders(len(holders))}) AND {database.still('leased')}"
        + database.skip_locked(),
        list(holders.values()),
    )
    sure = {key for (key,) in rows}
    ids = _lock([id_ for id_, key in waiting if key in sure], database.claimable(found_by_id=True))
    for chunk in database.chunked(ids, database.ROWS_PER_STATEMENT):
        database.execute(
            "UPDATE durably_run SET blocked = true "
            f"WHERE id IN ({database.placeholders(len(chunk))})",
            chunk,
        )


def unblock(freed: Iterable[str]) -> int:
    """Let the runs that these keys blocked be claimed again; how many there were."""
    keys = sorted(set(freed))
    if not keys:
        return 0
    rows = database.select(
        f"SELECT id FROM durably_run {database.using_index('durably_run_blocked')}"
        f"WHERE {_blocked()} AND concurrency_key IN ({database.placeholders(len(keys))})"
        + database.skip_locked(),
        keys,
    )
    return _clear_marks([id_ for (id_,) in rows])


@database.retrying
def unblock_all_free() -> int:
    """Free blocked runs whose key nobody holds. Idle maintenance: a run must not be forgotten.

    ``unblock`` passes over rows that another transaction has locked, and a site may change rows
    in ways of its own.
    """
    with database.atomic():
        rows = database.select(
            f"SELECT id FROM durably_run WHERE {_blocked()} AND NOT EXISTS (SELECT 1 "
            "FROM durably_run AS holder WHERE holder.leased_key = durably_run.concurrency_key)"
        )
        return _clear_marks(_lock([id_ for (id_,) in rows], database.still("pending")))


def _blocked() -> str:
    return f"status = 'pending' AND {database.BLOCKED[database.connection().vendor]}"


def _lock(ids: Sequence[Any], condition: str) -> list[Any]:
    """Those of the runs that meet the condition and that nobody else has locked, now locked."""
    locked: list[Any] = []
    for chunk in database.chunked(ids, database.ROWS_PER_STATEMENT):
        rows = database.select(
            f"SELECT id FROM durably_run {database.using_index('PRIMARY')}"
            f"WHERE id IN ({database.placeholders(len(chunk))}) AND {condition}"
            + database.skip_locked(),
            chunk,
        )
        locked += [id_ for (id_,) in rows]
    return locked


def _clear_marks(ids: Sequence[Any]) -> int:
    # From now on these runs wait for a worker, which is what `updated_at` tells of a pending run.
    now = database.adapt_time(clock.now())
    for chunk in database.chunked(ids, database.ROWS_PER_STATEMENT):
        database.execute(
            "UPDATE durably_run SET blocked = false, updated_at = %s "
            f"WHERE id IN ({database.placeholders(len(chunk))})",
            [now, *chunk],
        )
    return len(ids)
