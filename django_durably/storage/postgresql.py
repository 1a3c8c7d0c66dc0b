"""PostgreSQL's own way to store a batch and to claim: one statement each.

They do what ``batches``, ``leases``, ``checkpoints``, ``transitions`` and ``claims`` do step by
step for every database; one contract suite holds both to the same behaviour. A batch of twenty
checkpoints costs one round trip instead of six, and no model instances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from django_durably import clock
from django_durably.conf import get_settings
from django_durably.events import EventDraft
from django_durably.models import Run
from django_durably.storage import database, events
from django_durably.storage.changes import (
    Change,
    Claimed,
    ClaimRequest,
    Lease,
    LogRow,
    NewRun,
    StepRow,
    news,
)

# COALESCE keeps the planner from the partial indexes of the status, where these rows are known by
# their ids: with old statistics it would walk through a whole index at every commit.
# Leases are numbered within the batch: a run may occur under an old lease and under a new one.
_STORE = """
WITH lease AS (
    SELECT * FROM unnest(
        %(n)b::int[], %(run)b::uuid[], %(generation)b::int[], %(news)b::bool[],
        %(progress)b::text[], %(next)b::int[], %(done)b::int[],
        %(status)b::text[], %(output)b::text[], %(error)b::text[], %(trace)b::text[],
        %(ended)b::timestamptz[]
    ) AS t(n, run_id, generation, news, progress, next, done, status, output, error, trace, ended)
), held AS MATERIALIZED (
    SELECT lease.* FROM durably_run AS r
    JOIN lease ON lease.run_id = r.id AND lease.generation = r.lease_generation
    WHERE COALESCE(r.status, '') = 'leased'
    FOR NO KEY UPDATE OF r SKIP LOCKED
), advanced AS (
    UPDATE durably_run AS r SET
        progress = COALESCE(held.progress::jsonb, r.progress),
        current_step_index = COALESCE(held.next, r.current_step_index),
        completed_step_count = r.completed_step_count + held.done,
        crashes = CASE WHEN held.done > 0 THEN 0 ELSE r.crashes END,
        status = COALESCE(held.status, r.status),
        output = CASE WHEN held.status IS NULL THEN r.output ELSE held.output::jsonb END,
        error = CASE WHEN held.status IS NULL THEN r.error ELSE held.error END,
        error_traceback = CASE WHEN held.status IS NULL THEN r.error_traceback ELSE held.trace END,
        completed_at = held.ended,
        lease_owner = CASE WHEN held.status IS NULL THEN r.lease_owner END,
        lease_expires_at = CASE WHEN held.status IS NULL THEN r.lease_expires_at END,
        updated_at = %(now)b
    FROM held WHERE r.id = held.run_id AND held.news
), step AS (
    INSERT INTO durably_step (run_id, name, index, attempt, status, output, error, started_at,
        completed_at, lease_generation, worker)
    SELECT held.run_id, s.name, s.index, s.attempt, s.status, s.output::jsonb, s.error,
        s.started_at, s.completed_at, held.generation, %(owner)b
    FROM unnest(
        %(s_n)b::int[], %(s_name)b::text[], %(s_index)b::int[], %(s_attempt)b::int[],
        %(s_status)b::text[], %(s_output)b::text[], %(s_error)b::text[],
        %(s_started)b::timestamptz[], %(s_completed)b::timestamptz[]
    ) AS s(n, name, index, attempt, status, output, error, started_at, completed_at)
    JOIN held USING (n)
), log AS (
    INSERT INTO durably_logentry (run_id, step_name, level, message, data, timestamp)
    SELECT held.run_id, l.step_name, l.level, l.message, l.data::jsonb, l.at
    FROM unnest(
        %(l_n)b::int[], %(l_step)b::text[], %(l_level)b::text[], %(l_message)b::text[],
        %(l_data)b::text[], %(l_at)b::timestamptz[]
    ) WITH ORDINALITY AS l(n, step_name, level, message, data, at, position)
    JOIN held USING (n) ORDER BY l.position
), event AS (
    INSERT INTO durably_event (run_id, job_name, type, payload, labels, created_at)
    SELECT held.run_id, e.job_name, e.type, e.payload::jsonb, e.labels::jsonb, %(now)b
    FROM unnest(
        %(e_n)b::int[], %(e_job)b::text[], %(e_type)b::text[], %(e_payload)b::text[],
        %(e_labels)b::text[]
    ) WITH ORDINALITY AS e(n, job_name, type, payload, labels, position)
    JOIN held USING (n) ORDER BY e.position
    RETURNING id
)
SELECT true, n::bigint FROM held UNION ALL SELECT false, id FROM event
"""

_CLAIM = """
WITH candidate AS MATERIALIZED (
    SELECT c.* FROM unnest(%(jobs)b::text[]) AS job(name)
    CROSS JOIN LATERAL (
        SELECT created_at, id, concurrency_key FROM durably_run
        WHERE status = 'pending' AND NOT blocked AND job_name = job.name
        ORDER BY created_at, id LIMIT %(size)b
    ) AS c
    ORDER BY c.created_at, c.id LIMIT %(size)b
), locked AS MATERIALIZED (
    SELECT r.id FROM durably_run AS r
    WHERE r.id = ANY (ARRAY(SELECT id FROM candidate))
        AND COALESCE(r.status, '') = 'pending' AND NOT r.blocked
        AND NOT EXISTS (SELECT 1 FROM candidate WHERE concurrency_key IS NOT NULL)
    ORDER BY r.created_at, r.id LIMIT %(limit)b
    FOR NO KEY UPDATE OF r SKIP LOCKED
), leased AS (
    UPDATE durably_run AS r SET status = 'leased', lease_owner = %(owner)b,
        lease_expires_at = {now} + make_interval(secs => %(lease)b),
        lease_generation = r.lease_generation + 1,
        started_at = COALESCE(r.started_at, %(now)b), updated_at = %(now)b
    FROM locked WHERE r.id = locked.id
    RETURNING r.id, r.job_name, r.input, r.labels, r.lease_generation - 1 AS generation
), event AS (
    INSERT INTO durably_event (run_id, job_name, type, payload, labels, created_at)
    SELECT id, job_name, 'run:leased', jsonb_build_object('input', input), labels, %(now)b
    FROM leased ORDER BY id
    RETURNING id
)
SELECT 'run', id, job_name, input::text, labels::text, generation, NULL::bigint FROM leased
UNION ALL SELECT 'event', NULL, NULL, NULL, NULL, NULL, id FROM event
UNION ALL SELECT 'candidates', NULL, NULL, NULL, NULL, NULL, count(*) FROM candidate
UNION ALL SELECT 'keyed', NULL, NULL, NULL, NULL, NULL, count(concurrency_key) FROM candidate
"""


_INSERT = """
WITH new AS (
    SELECT * FROM unnest(
        %(id)b::uuid[], %(job)b::text[], %(input)b::text[], %(labels)b::text[],
        %(idempotency)b::text[], %(concurrency)b::text[], %(source)b::uuid[], %(by)b::text[]
    ) WITH ORDINALITY
    AS t(id, job, input, labels, idempotency, concurrency, source, triggered_by, position)
), run AS (
    INSERT INTO durably_run (id, job_name, status, input, labels, idempotency_key,
        concurrency_key, retriggered_from, triggered_by, created_at, updated_at,
        current_step_index, completed_step_count, blocked, lease_generation, crashes)
    SELECT id, job, 'pending', input::jsonb, labels::jsonb, idempotency, concurrency, source,
        triggered_by, %(now)b, %(now)b, 0, 0, false, 0, 0
    FROM new ORDER BY position
    ON CONFLICT DO NOTHING
    RETURNING id
), label AS (
    INSERT INTO durably_runlabel (run_id, key, value)
    SELECT run.id, l.key, l.value
    FROM unnest(%(label_run)b::uuid[], %(label_key)b::text[], %(label_value)b::text[])
        AS l(run_id, key, value)
    JOIN run ON run.id = l.run_id
), event AS (
    INSERT INTO durably_event (run_id, job_name, type, payload, labels, created_at)
    SELECT id, job, 'run:trigger', ('{"input": ' || input || '}')::jsonb, labels::jsonb, %(now)b
    FROM run JOIN new USING (id) ORDER BY id
    RETURNING id
)
SELECT id, NULL::bigint FROM run UNION ALL SELECT NULL, id FROM event
"""

_RUN = ["id", "job", "input", "labels", "idempotency", "concurrency", "source", "by"]
_LABEL = ["label_run", "label_key", "label_value"]


def insert_runs(pairs: Sequence[tuple[Run, NewRun]]) -> tuple[set[UUID], list[int]]:
    """Insert the runs whose keys are free, with labels and events; the ids of runs and events."""
    rows = _execute(
        _INSERT,
        {
            "now": pairs[0][0].created_at,
            **_columns(_RUN, [(run.pk, *_run_row(new)) for run, new in pairs]),
            **_columns(_LABEL, [(r.pk, k, v) for r, new in pairs for k, v in new.labels.items()]),
        },
    )
    return {id_ for id_, _ in rows if id_}, sorted(event_id for _, event_id in rows if event_id)


def _run_row(new: NewRun) -> tuple[Any, ...]:
    return (
        new.job_name,
        new.input_text,
        new.labels_text,
        new.idempotency_key,
        new.concurrency_key,
        new.retriggered_from,
        new.triggered_by,
    )


def store(changes: Sequence[Change]) -> tuple[set[Lease], list[int]]:
    """Store the changes of the leases that are still held; those leases, and the events' ids."""
    by_lease: dict[Lease, list[Change]] = {}
    for change in changes:
        by_lease.setdefault(change.lease, []).append(change)
    numbers = {lease: n for n, lease in enumerate(by_lease)}
    now = clock.now()
    rows = _execute(
        _STORE,
        {
            "now": now,
            "owner": changes[0].lease.owner,
            **_columns(_LEASE, [(numbers[k], *_lease_row(k, v, now)) for k, v in by_lease.items()]),
            **_columns(_STEP, [(numbers[c.lease], *_step_row(c.step)) for c in changes if c.step]),
            **_columns(_LOG, [(numbers[c.lease], *_log_row(c.log)) for c in changes if c.log]),
            **_columns(
                _EVENT, [(numbers[c.lease], *_event_row(e)) for c in changes for e in c.events]
            ),
        },
    )
    held = {number for is_lease, number in rows if is_lease}
    event_ids = sorted(id_ for is_lease, id_ in rows if not is_lease)
    return {lease for lease, n in numbers.items() if n in held}, event_ids


_LEASE = [
    "n",
    "run",
    "generation",
    "news",
    "progress",
    "next",
    "done",
    "status",
    "output",
    "error",
    "trace",
    "ended",
]
_STEP = [
    "s_n",
    "s_name",
    "s_index",
    "s_attempt",
    "s_status",
    "s_output",
    "s_error",
    "s_started",
    "s_completed",
]
_LOG = ["l_n", "l_step", "l_level", "l_message", "l_data", "l_at"]
_EVENT = ["e_n", "e_job", "e_type", "e_payload", "e_labels"]


def _step_row(s: StepRow) -> tuple[Any, ...]:
    return (s.name, s.index, s.attempt, s.status, s.output, s.error, s.started_at, s.completed_at)


def _log_row(log: LogRow) -> tuple[Any, ...]:
    return (log.step_name, log.level, log.message, log.data, log.timestamp)


def _event_row(event: EventDraft) -> tuple[Any, ...]:
    return (event.job_name, event.type.value, events.payload_text(event), event.labels)


def _lease_row(lease: Lease, changes: Sequence[Change], now: Any) -> tuple[Any, ...]:
    progress, next_index, done = news(changes)
    end = next((c.settlement for c in reversed(changes) if c.settlement is not None), None)
    return (
        lease.run_id,
        lease.generation,
        end is not None or progress is not None or done > 0,
        progress,
        next_index,
        done,
        end and end.status,
        end and end.output,
        end and end.error,
        end and end.traceback,
        now if end is not None and end.is_terminal else None,
    )


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim found. ``keyed`` candidates need the careful way, and nothing was taken."""

    runs: list[Claimed]
    event_ids: list[int]
    candidates: int
    keyed: bool


def claim(request: ClaimRequest, size: int) -> Taken:
    """Lease runs without concurrency keys, if the first ``size`` of the queue have none."""
    sql = _CLAIM.format(now=clock.database_now_sql(database.connection()))
    rows = _execute(
        sql,
        {
            "jobs": list(request.jobs),
            "size": size,
            "limit": request.limit,
            "owner": request.owner,
            "lease": get_settings().lease.total_seconds(),
            "now": clock.now(),
        },
    )
    counts = {kind: number for kind, *_, number in rows if kind in ("candidates", "keyed")}
    return Taken(
        runs=[
            Claimed.from_row(row[1:6], request.owner)
            for row in sorted(row for row in rows if row[0] == "run")
        ],
        event_ids=sorted(row[-1] for row in rows if row[0] == "event"),
        candidates=counts["candidates"],
        keyed=counts["keyed"] > 0,
    )


def _execute(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Execute with the driver's own cursor: parameters travel in binary, not as SQL text."""
    connection = database.connection()
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(sql, parameters).fetchall()
