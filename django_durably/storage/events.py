"""The event log: recorded in the transaction of the fact it tells of."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from django_durably import clock
from django_durably.events import EventDraft
from django_durably.models import Event
from django_durably.storage import database

_COLUMNS = ("run_id", "job_name", "type", "payload", "labels", "created_at")


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
    """Delete at most ``limit`` of the events recorded longer ago than this; how many went."""
    events = Event.objects.using(database.connection().alias)
    old = events.filter(created_at__lt=clock.now() - older_than).order_by("created_at")
    ids = list(old.values_list("pk", flat=True)[:limit])
    return events.filter(pk__in=ids).delete()[0] if ids else 0
