"""New runs: insert first, then read back who won."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django_durably import clock
from django_durably.events import EventDraft, EventType
from django_durably.exceptions import ConflictError
from django_durably.models import Run
from django_durably.storage import database, events

_COLUMNS = (
    "id",
    "job_name",
    "status",
    "input",
    "labels",
    "idempotency_key",
    "concurrency_key",
    "retriggered_from",
    "triggered_by",
    "created_at",
    "updated_at",
    "current_step_index",
    "completed_step_count",
    "blocked",
    "lease_generation",
    "crashes",
)
_FRUITLESS_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class NewRun:
    """A validated request for a run. ``input`` and ``labels`` come as JSON text and as values."""

    job_name: str
    input: Any
    input_text: str
    labels: dict[str, str]
    labels_text: str
    idempotency_key: str | None = None
    concurrency_key: str | None = None
    coalesce: bool = False
    retriggered_from: UUID | None = None
    triggered_by: str | None = None


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The runs that answer the requests, in their order, each with its ``disposition``."""

    runs: tuple[Run, ...]
    drafts: tuple[EventDraft, ...]
    event_ids: tuple[int, ...]


@database.retrying
def enqueue(requests: Sequence[NewRun]) -> Enqueued:
    """Insert these runs, all or none, in one transaction.

    Raises ConflictError when a pending run of the same job holds a concurrency key and its request
    does not coalesce.
    """
    now = clock.now()
    answers: dict[int, Run] = {}
    drafts: list[EventDraft] = []
    with database.atomic():
        waiting = dict(enumerate(requests))
        fruitless = 0
        while waiting:
            if fruitless == _FRUITLESS_ROUNDS:
                job = next(iter(waiting.values())).job_name
                raise ConflictError(f"Could not insert a run of {job}")
            _insert_round(waiting, now, answers, drafts)
            left = {at: request for at, request in waiting.items() if at not in answers}
            fruitless += len(left) == len(waiting)
            waiting = left
        event_ids = tuple(events.record(drafts, now))
    return Enqueued(tuple(answers[at] for at in sorted(answers)), tuple(drafts), event_ids)


def _insert_round(
    waiting: dict[int, NewRun], now: datetime, answers: dict[int, Run], drafts: list[EventDraft]
) -> None:
    """Insert what the unique keys allow, and find the winners for the rest.

    A winner may be gone or leased by the time it is looked for; its loser tries again.
    """
    new = {at: _run(request, now) for at, request in _first_of_their_keys(waiting).items()}
    inserted = _insert_runs([(run, waiting[at]) for at, run in new.items()])
    created = {at: run for at, run in new.items() if run.pk in inserted}
    _insert_labels(list(created.values()))
    answers.update(created)
    drafts.extend(_triggered(run, waiting[at]) for at, run in created.items())
    losers = {at: request for at, request in waiting.items() if at not in created}
    if losers:
        _answer_with_winners(losers, answers, drafts)


def _first_of_their_keys(waiting: dict[int, NewRun]) -> dict[int, NewRun]:
    """The requests that share no key with an earlier one of their batch.

    Rows are inserted in the order of their keys, but the first request is to win.
    """
    seen: set[tuple[str, str, str]] = set()
    first: dict[int, NewRun] = {}
    for at, request in waiting.items():
        keys = {
            (kind, request.job_name, key)
            for kind, key in (("i", request.idempotency_key), ("c", request.concurrency_key))
            if key is not None
        }
        if not keys & seen:
            first[at] = request
        seen |= keys
    return first


def _run(request: NewRun, now: datetime) -> Run:
    run = Run(
        id=clock.uuid7(),
        job_name=request.job_name,
        input=request.input,
        labels=request.labels,
        idempotency_key=request.idempotency_key,
        concurrency_key=request.concurrency_key,
        retriggered_from=request.retriggered_from,
        triggered_by=request.triggered_by,
        created_at=now,
        updated_at=now,
    )
    # As if it had been read: what the caller saves is an update.
    run._state.adding = False
    run._state.db = database.connection().alias
    return run


def _insert_runs(pairs: Sequence[tuple[Run, NewRun]]) -> set[UUID]:
    """Insert the runs whose keys are free, in the order of their keys so that two batches with
    the same keys wait for each other instead of deadlocking; the ids that went in."""
    ordered = sorted(
        pairs, key=lambda pair: (pair[1].idempotency_key or "", pair[1].concurrency_key or "")
    )
    rows = [_values(run, request) for run, request in ordered]
    ids = [run.pk for run, _ in ordered]
    if database.connection().vendor != "mysql":
        returned = database.insert(
            "durably_run", _COLUMNS, rows, "ON CONFLICT DO NOTHING RETURNING id"
        )
        return {database.read_id(id_) for id_ in returned}
    # INSERT IGNORE would also ignore what is wrong with a value.
    database.insert("durably_run", _COLUMNS, rows, "ON DUPLICATE KEY UPDATE id = durably_run.id")
    return _existing(ids)


def _existing(ids: Sequence[UUID]) -> set[UUID]:
    found: set[UUID] = set()
    for chunk in database.chunked(ids, database.ROWS_PER_STATEMENT):
        rows = database.select(
            f"SELECT id FROM durably_run WHERE id IN ({database.placeholders(len(chunk))})",
            [database.adapt_id(id_) for id_ in chunk],
        )
        found |= {database.read_id(id_) for (id_,) in rows}
    return found


def _values(run: Run, request: NewRun) -> tuple[Any, ...]:
    created_at = database.adapt_time(run.created_at)
    from_ = run.retriggered_from
    return (
        database.adapt_id(run.pk),
        run.job_name,
        "pending",
        request.input_text,
        request.labels_text,
        run.idempotency_key,
        run.concurrency_key,
        database.adapt_id(from_) if from_ is not None else None,
        run.triggered_by,
        created_at,
        created_at,
        0,
        0,
        False,
        0,
        0,
    )


def _insert_labels(runs: Sequence[Run]) -> None:
    rows = [
        (database.adapt_id(run.pk), key, value) for run in runs for key, value in run.labels.items()
    ]
    if rows:
        database.insert("durably_runlabel", ("run_id", "key", "value"), rows)


def _triggered(run: Run, request: NewRun) -> EventDraft:
    return EventDraft(
        EventType.RUN_TRIGGER,
        run.pk,
        run.job_name,
        request.labels_text,
        encoded={"input": request.input_text},
    )


def _answer_with_winners(
    losers: dict[int, NewRun], answers: dict[int, Run], drafts: list[EventDraft]
) -> None:
    runs = Run.objects.using(database.connection().alias)
    for at, request in losers.items():
        of_job = runs.filter(job_name=request.job_name)
        if request.idempotency_key is not None:
            winner = of_job.filter(idempotency_key=request.idempotency_key).first()
            if winner is not None:
                winner.disposition = "idempotent"
                answers[at] = winner
                continue
        if request.concurrency_key is not None:
            winner = of_job.filter(waiting_key=request.concurrency_key).first()
            if winner is not None:
                if not request.coalesce:
                    raise ConflictError(
                        f"A pending run of {request.job_name} already holds the concurrency key "
                        f"{request.concurrency_key!r}"
                    )
                winner.disposition = "coalesced"
                answers[at] = winner
                drafts.append(_coalesced(winner, request))


def _coalesced(winner: Run, request: NewRun) -> EventDraft:
    from json import dumps

    return EventDraft(
        EventType.RUN_COALESCED,
        winner.pk,
        winner.job_name,
        dumps(winner.labels),
        encoded={"skippedInput": request.input_text, "skippedLabels": request.labels_text},
    )
