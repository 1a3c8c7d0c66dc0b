"""Claiming: the oldest pending runs of a worker's jobs, one per concurrency key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, OperationalError

from django_durably import clock
from django_durably.conf import get_settings
from django_durably.events import EventDraft, EventType
from django_durably.storage import checkpoints, database, events, keys
from django_durably.storage.changes import Claimed, ClaimRequest

# Candidates are read without locks, so several claims at once see the same ones: reading more
# than are wanted lets each find some that no other has locked.
_READ_AHEAD = 4
_LONGEST_PAGE = 500
_MOST_PAGES = 20
_JOBS_PER_STATEMENT = 100


@dataclass(frozen=True, slots=True)
class _Candidate:
    created_at: Any
    id: Any
    key: str | None


@dataclass(frozen=True, slots=True)
class Claims:
    """What one claim took. ``more`` says that others may be waiting still."""

    runs: tuple[Claimed, ...]
    more: bool
    drafts: tuple[EventDraft, ...] = ()
    event_ids: tuple[int, ...] = ()


NOTHING = Claims((), more=False)


@database.retrying
def claim(request: ClaimRequest) -> Claims:
    """Lease up to ``request.limit`` pending runs, the oldest first."""
    if request.limit < 1 or not request.jobs:
        return NOTHING
    if database.connection().vendor == "postgresql" and (fast := _claim_unkeyed(request)):
        return fast
    with database.atomic():
        taken, more = _take(request)
        drafts = tuple(_leased_event(run) for run in taken)
        event_ids = tuple(events.record(drafts))
        runs = _with_checkpoints(taken)
    return Claims(runs, more, drafts, event_ids)


def _claim_unkeyed(request: ClaimRequest) -> Claims | None:
    """PostgreSQL takes runs without concurrency keys in one statement.

    None when there are keys among the candidates, or when others locked so many of them that the
    next page has to be looked at.
    """
    from django_durably.storage import postgresql

    size = request.limit * _READ_AHEAD
    taken = postgresql.claim(request, size)
    if taken.keyed or (not taken.runs and taken.candidates == size):
        return None
    drafts = tuple(_leased_event(run) for run in taken.runs)
    more = len(taken.runs) == request.limit or len(taken.runs) < taken.candidates
    return Claims(_with_checkpoints(taken.runs), more, drafts, tuple(taken.event_ids))


@database.retrying
def claim_one(run_id: UUID, owner: str) -> Claimed | None:
    """Lease this one run, if it is pending and its concurrency key is free."""
    with database.atomic():
        rows = database.select(
            "SELECT created_at, id, concurrency_key FROM durably_run "
            f"WHERE id = %s AND {database.claimable()}",
            [database.adapt_id(run_id)],
        )
        open_runs = _with_open_keys([_Candidate(*row) for row in rows])
        taken = _lease(_lock(open_runs, 1), owner)
        events.record([_leased_event(run) for run in taken])
        runs = _with_checkpoints(taken)
    return runs[0] if runs else None


def _take(request: ClaimRequest) -> tuple[list[Claimed], bool]:
    """Walk through the queue, page by page, until there are enough runs or no candidates."""
    taken: list[Claimed] = []
    passed_over = False
    size = request.limit * _READ_AHEAD
    for page, is_last in _pages(request.jobs, size):
        for candidates in database.chunked(_with_open_keys(page), size):
            wanted = min(request.limit - len(taken), len(candidates))
            leased = _lease(_lock(candidates, wanted), request.owner)
            passed_over = passed_over or len(leased) < wanted
            taken += leased
            if len(taken) >= request.limit:
                return taken, True
        if is_last:
            return taken, passed_over
    return taken, True


def _pages(jobs: Sequence[str], size: int) -> Iterator[tuple[list[_Candidate], bool]]:
    """Pages of candidates, and whether each is the last; every one is twice as long as the one
    before, so that a thousand blocked runs at the head of the queue cost few statements."""
    after = None
    for _ in range(_MOST_PAGES):
        page = _candidates(jobs, size, after)
        yield page, len(page) < size
        if len(page) < size:
            return
        after = page[-1]
        size = max(size, min(size * 2, _LONGEST_PAGE))


def _candidates(jobs: Sequence[str], size: int, after: _Candidate | None) -> list[_Candidate]:
    """The oldest claimable runs of these jobs, read without locks, each job by its own index range.

    One ordered range per job, so that pending runs of other jobs cost nothing.
    """
    found: list[tuple[Any, ...]] = []
    for names in database.chunked(jobs, _JOBS_PER_STATEMENT):
        found += _candidates_of(names, size, after)
    return [_Candidate(*row) for row in sorted(found)[:size]]


def _candidates_of(
    jobs: Sequence[str], size: int, after: _Candidate | None
) -> list[tuple[Any, ...]]:
    later, cursor = "", []
    if after is not None:
        later = "AND created_at >= %s AND (created_at > %s OR id > %s) "
        cursor = [after.created_at, after.created_at, after.id]
    one_job = (
        "SELECT created_at, id, concurrency_key FROM ("
        "SELECT created_at, id, concurrency_key FROM durably_run "
        f"WHERE {database.claimable()} AND job_name = %s {later}"
        "ORDER BY created_at, id LIMIT %s) AS j"
    )
    parameters = [value for job in jobs for value in (job, *cursor, size)]
    sql = " UNION ALL ".join(f"{one_job}{number}" for number in range(len(jobs)))
    return database.select(sql, parameters)


def _with_open_keys(page: Sequence[_Candidate]) -> list[_Candidate]:
    """Drop the runs whose key is held or that come after another of their key."""
    first_of_key = {c.key: c for c in reversed(page) if c.key is not None}
    held = keys.held(first_of_key)
    if held:
        keys.block([(c.id, c.key) for c in page if c.key in held and c.key is not None], held)
    return [c for c in page if c.key is None or (c is first_of_key[c.key] and c.key not in held)]


def _lock(candidates: Sequence[_Candidate], limit: int) -> list[tuple[Any, ...]]:
    if not candidates:
        return []
    return database.select(
        "SELECT id, job_name, input, labels, lease_generation, concurrency_key "
        f"FROM durably_run {database.using_index('PRIMARY')}"
        f"WHERE id IN ({database.placeholders(len(candidates))}) "
        f"AND {database.claimable(found_by_id=True)} "
        f"ORDER BY id LIMIT %s{database.skip_locked()}",
        [*(c.id for c in candidates), limit],
    )


def _lease(rows: Sequence[tuple[Any, ...]], owner: str) -> list[Claimed]:
    """Lease these locked rows, but for those that collide with what another claim takes now."""
    wanted = [row[5] for row in rows if row[5] is not None]
    reserved = keys.reserve(wanted) if wanted else set()
    rows = [row for row in rows if row[5] is None or row[5] in reserved]
    if wanted and database.connection().vendor == "mysql":
        rows = [row for row in rows if _mark_leased_alone(row, owner)]
    else:
        _mark_leased(rows, owner)
    return [Claimed.from_row(row[:5], owner, key=row[5]) for row in rows]


def _mark_leased_alone(row: tuple[Any, ...], owner: str) -> bool:
    """On MariaDB the unique index decides about a key; nobody waits for another's claim.

    Its locks reach into the gaps beside a key, so that now and then a run of another key collides.
    """
    try:
        with database.atomic():
            _mark_leased([row], owner, database.NEVER_WAIT)
    except IntegrityError:
        return False
    except OperationalError as error:
        if database.is_lock_timeout(error):
            return False
        raise
    return True


def _mark_leased(rows: Sequence[tuple[Any, ...]], owner: str, prefix: str = "") -> None:
    if rows:
        expires = clock.database_now_sql(database.connection(), plus=get_settings().lease)
        now = database.adapt_time(clock.now())
        database.execute(
            f"{prefix}UPDATE durably_run SET status = 'leased', lease_owner = %s, "
            f"lease_expires_at = {expires}, lease_generation = lease_generation + 1, "
            "started_at = COALESCE(started_at, %s), updated_at = %s "
            f"WHERE id IN ({database.placeholders(len(rows))})",
            [owner, now, now, *(row[0] for row in rows)],
        )


def _with_checkpoints(runs: Sequence[Claimed]) -> tuple[Claimed, ...]:
    """Add the steps of runs that were executed before; a first execution reads nothing."""
    resumed = [run.lease.run_id for run in runs if run.lease.generation > 1]
    steps = checkpoints.load(resumed)
    return tuple(
        Claimed(r.lease, r.job_name, r.input, r.labels, r.labels_text, steps[r.lease.run_id])
        if r.lease.run_id in steps
        else r
        for r in runs
    )


def _leased_event(run: Claimed) -> EventDraft:
    return EventDraft(
        EventType.RUN_LEASED,
        run.lease.run_id,
        run.job_name,
        run.labels_text,
        fields={"input": run.input},
    )
