"""New runs: insert first, then read back who won."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from json import dumps
from typing import Any
from uuid import UUID

from django_durably import clock
from django_durably.events import EventDraft, EventType
from django_durably.exceptions import ConflictError
from django_durably.models import Run
from django_durably.storage import database, events
from django_durably.storage.changes import NewRun

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


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The runs that answer the requests, in their order, each with its ``disposition``."""

    runs: tuple[Run, ...]
    drafts: tuple[EventDraft, ...]
    event_ids: tuple[int, ...]


# A winner that is gone when it is looked for makes a round fruitless; once in a while is normal.
_FRUITLESS_ROUNDS = 10


@database.retrying
def enqueue(requests: Sequence[NewRun]) -> Enqueued:
    """Insert these runs, all or none, in one transaction.

    Raises ConflictError when a pending run of the same job holds a concurrency key and its request
    does not coalesce.
    """
    batch = _Batch(clock.now())
    waiting = dict(enumerate(requests))
    fruitless = 0
    with database.atomic() if _needs_transaction(requests) else nullcontext():
        while waiting:
            if fruitless == _FRUITLESS_ROUNDS:
                job = next(iter(waiting.values())).job_name
                raise ConflictError(f"Could not insert a run of {job}: its keys change too fast")
            batch.insert(_first_of_their_keys(waiting))
            batch.answer_with_winners(batch.unanswered(waiting))
            left = batch.unanswered(waiting)
            fruitless += len(left) == len(waiting)
            waiting = left
    return batch.enqueued()


def _needs_transaction(requests: Sequence[NewRun]) -> bool:
    """False for one run on PostgreSQL: its row, labels and event are one statement."""
    return len(requests) > 1 or database.connection().vendor != "postgresql"


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


class _Batch:
    """The answers to some requests, as they are found."""

    def __init__(self, now: datetime) -> None:
        self.answers: dict[int, Run] = {}
        self._now = now
        self._drafts: list[EventDraft] = []
        self._event_ids: list[int] = []

    def unanswered(self, requests: dict[int, NewRun]) -> dict[int, NewRun]:
        return {at: request for at, request in requests.items() if at not in self.answers}

    def insert(self, waiting: dict[int, NewRun]) -> None:
        """Insert what the unique keys allow."""
        new = {at: _run(request, self._now) for at, request in waiting.items()}
        inserted, event_ids = _insert([(new[at], waiting[at]) for at in waiting])
        self._event_ids += event_ids
        for at, request in waiting.items():
            if new[at].pk in inserted:
                self.answers[at] = new[at]
                self._drafts.append(_triggered(new[at], request))

    def answer_with_winners(self, losers: dict[int, NewRun]) -> None:
        """Find the runs that hold the keys of the others.

        One may be gone or leased by the time it is looked for: its loser tries again.
        """
        coalesced = []
        for at, request in losers.items():
            winner = _winner_by_idempotency(request) or _winner_by_concurrency(request)
            if winner is None:
                continue
            self.answers[at] = winner
            if winner.disposition == "coalesced":
                coalesced.append(_coalesced(winner, request))
        self._event_ids += events.record(coalesced, self._now)
        self._drafts += coalesced

    def enqueued(self) -> Enqueued:
        runs = tuple(self.answers[at] for at in sorted(self.answers))
        return Enqueued(runs, tuple(self._drafts), tuple(self._event_ids))


def _winner_by_idempotency(request: NewRun) -> Run | None:
    if request.idempotency_key is None:
        return None
    return _winner(request, "idempotent", idempotency_key=request.idempotency_key)


def _winner_by_concurrency(request: NewRun) -> Run | None:
    if request.concurrency_key is None:
        return None
    winner = _winner(request, "coalesced", waiting_key=request.concurrency_key)
    if winner is not None and not request.coalesce:
        raise ConflictError(
            f"A pending run of {request.job_name} already holds the concurrency key "
            f"{request.concurrency_key!r}"
        )
    return winner


def _winner(request: NewRun, disposition: str, **key: str) -> Run | None:
    runs = Run.objects.using(database.connection().alias)
    if database.connection().vendor == "mysql":
        # In a transaction of the caller with an older snapshot, only a locking read sees it.
        runs = runs.select_for_update()
    winner = runs.filter(job_name=request.job_name, **key).first()
    if winner is not None:
        winner.disposition = disposition
        if request.accept is not None:
            request.accept(winner)
    return winner


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


def _insert(pairs: Sequence[tuple[Run, NewRun]]) -> tuple[set[UUID], list[int]]:
    """Insert the runs whose keys are free, with their labels and events; the ids of both.

    In the order of their keys, so that two batches with the same keys wait for each other
    instead of deadlocking.
    """
    ordered = sorted(
        pairs, key=lambda pair: (pair[1].idempotency_key or "", pair[1].concurrency_key or "")
    )
    if database.connection().vendor == "postgresql":
        from django_durably.storage import postgresql

        return postgresql.insert_runs(ordered)
    inserted = _insert_runs([_values(run, request) for run, request in ordered])
    new = [(run, request) for run, request in pairs if run.pk in inserted]
    _insert_labels([run for run, _ in new])
    return inserted, events.record([_triggered(*pair) for pair in new], pairs[0][0].created_at)


def _insert_runs(rows: Sequence[tuple[Any, ...]]) -> set[UUID]:
    if database.connection().vendor == "sqlite":
        returned = database.insert(
            "durably_run", _COLUMNS, rows, "ON CONFLICT DO NOTHING RETURNING id"
        )
        return {database.read_id(id_) for id_ in returned}
    # INSERT IGNORE would also ignore what is wrong with a value.
    database.insert("durably_run", _COLUMNS, rows, "ON DUPLICATE KEY UPDATE id = durably_run.id")
    return _existing([row[0] for row in rows])


def _existing(ids: Sequence[Any]) -> set[UUID]:
    found: set[UUID] = set()
    for chunk in database.chunked(ids, database.ROWS_PER_STATEMENT):
        rows = database.select(
            f"SELECT id FROM durably_run WHERE id IN ({database.placeholders(len(chunk))})", chunk
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


def _coalesced(winner: Run, request: NewRun) -> EventDraft:
    return EventDraft(
        EventType.RUN_COALESCED,
        winner.pk,
        winner.job_name,
        dumps(winner.labels),
        encoded={"skippedInput": request.input_text, "skippedLabels": request.labels_text},
    )
