"""The event log: recorded in the transaction of the fact it tells of."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import Max, Min, Q, QuerySet, Subquery

from django_durably import clock
from django_durably.events import EventDraft, EventType
from django_durably.models import Event
from django_durably.storage import database
from django_durably.storage.cursors import Cursor

_COLUMNS = ("run_id", "job_name", "type", "payload", "labels", "created_at")
_RECORDED = ("pk", *_COLUMNS)

ONLY_IN_LISTS: Final = frozenset({EventType.RUN_TRIGGER, EventType.RUN_COALESCED})
"""What is told to those who follow many runs, but not to those who follow one."""
LOOK_BACK: Final = 10_000
"""How many events a new reader looks through for ids that are still missing."""
MOST_AWAITED: Final = 1000
"""How many missing ids a reader awaits at most, the newest ones."""


class RecordedEvent(NamedTuple):
    """A row of the log."""

    id: int
    run_id: UUID
    job_name: str
    type: str
    payload: dict[str, Any]
    labels: dict[str, str]
    created_at: datetime


def record(drafts: Sequence[EventDraft], at: datetime | None = None) -> list[int]:
    """Append these events in their order and return their ids."""
    if not drafts:
        return []
    created_at = database.adapt_time(at or clock.now())
    rows = [
        (
            database.adapt_id(draft.run_id),
            draft.job_name,
            draft.type.value,
            payload_text(draft),
            draft.labels,
            created_at,
        )
        for draft in drafts
    ]
    # The databases number the rows in order but may return the numbers in another.
    return sorted(database.insert("durably_event", _COLUMNS, rows, "RETURNING id"))


def payload_text(draft: EventDraft) -> str:
    members = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in draft.fields.items()]
    members += [f"{json.dumps(k)}: {text}" for k, text in draft.encoded.items()]
    return "{" + ", ".join(members) + "}"


def purge(older_than: timedelta, limit: int = 5000) -> int:
    """Delete at most ``limit`` of the events recorded longer ago than this; how many went.

    The newest stays: by it, streams tell a client that missed nothing from one that missed all.
    """
    events = Event.objects.using(database.connection().alias)
    newest = events.order_by("-pk").values("pk")[:1]
    old = events.filter(created_at__lt=clock.now() - older_than).exclude(pk=Subquery(newest))
    old = old.order_by("created_at")
    ids = list(old.values_list("pk", flat=True)[:limit])
    return events.filter(pk__in=ids).delete()[0] if ids else 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions are over, where the database tells (PostgreSQL's transaction ids)."""

    first_open: int
    next: int


def read_after(
    cursor: Cursor, limit: int, run_id: UUID | None = None, up_to: Cursor | None = None
) -> list[RecordedEvent]:
    """The first events, by id, that are visible and that the cursor has not seen.

    ``run_id``: only of this run; ``up_to``: only what that cursor has seen. It is one statement,
    hence one snapshot: two events of a run never come in the wrong order, however late the first
    of them was committed.
    """
    unseen = Q(pk__gt=cursor.highest)
    if cursor.awaited:
        unseen |= Q(pk__in=cursor.awaited)
    events = recorded_events().filter(unseen)
    if run_id is not None:
        events = events.filter(run_id=run_id)
    if up_to is not None:
        events = events.filter(pk__lte=up_to.highest).exclude(pk__in=up_to.awaited)
    return [RecordedEvent(*row) for row in events.order_by("pk")[:limit]]


def recorded_events() -> QuerySet[Event, tuple[Any, ...]]:
    """The log, each row as the values of a ``RecordedEvent``."""
    return Event.objects.using(database.connection().alias).values_list(*_RECORDED)


def bounds() -> tuple[int, int] | None:
    """The ids of the oldest and the newest visible event; None when there are none."""
    events = Event.objects.using(database.connection().alias)
    found = events.aggregate(oldest=Min("pk"), newest=Max("pk"))
    return (found["oldest"], found["newest"]) if found["oldest"] is not None else None


def can_resume(cursor: Cursor) -> bool:
    """True when all that came after this cursor is still in the log."""
    known = bounds()
    return known is not None and known[0] - 1 <= cursor.highest <= known[1]


def present_cursor(look_back: int = LOOK_BACK) -> Cursor:
    """The newest visible event, and the ids shortly before it that may become visible yet."""
    events = Event.objects.using(database.connection().alias).order_by("-pk")
    newest = list(events.values_list("pk", flat=True)[:look_back])
    if not newest:
        return Cursor(0)
    if not commits_out_of_order():
        return Cursor(newest[0])
    missing = set(range(newest[-1], newest[0])) - set(newest)
    return Cursor(newest[0], frozenset(sorted(missing)[-MOST_AWAITED:]))


def commits_out_of_order() -> bool:
    """SQLite has one writer at a time: there, ids become visible in their order."""
    return database.connection().vendor != "sqlite"


def snapshot() -> Snapshot | None:
    """The transactions that are open now; None where the database does not tell."""
    if database.connection().vendor != "postgresql":
        return None
    [(first_open, next_)] = database.select(
        "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint "
        "FROM pg_current_snapshot() AS s"
    )
    return Snapshot(first_open, next_)
