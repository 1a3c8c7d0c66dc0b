"""Triggering: validate, insert in the caller's transaction, wake workers after commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from json import dumps
from typing import Any
from uuid import UUID

from django.db import transaction

from django_durably import labels as label_rules
from django_durably import signals, values, wakeups
from django_durably.conf import get_settings
from django_durably.events import EventDraft
from django_durably.exceptions import ValidationError
from django_durably.fields import KEY_LENGTH
from django_durably.jobs.definition import Definition
from django_durably.models import Run
from django_durably.storage import enqueue
from django_durably.storage.changes import NewRun


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """A validated request for one run of a job. ``accept``: see ``NewRun``."""

    definition: Definition
    input_text: str
    labels: dict[str, str]
    idempotency_key: str | None = None
    concurrency_key: str | None = None
    coalesce: bool = False
    retriggered_from: UUID | None = None
    triggered_by: str | None = None
    accept: Callable[[Run], None] | None = None


def make_request(
    definition: Definition,
    input: Any = None,
    *,
    idempotency_key: str | None = None,
    concurrency_key: str | None = None,
    coalesce: str | None = None,
    labels: dict[str, str] | None = None,
    retriggered_from: UUID | None = None,
    triggered_by: str | None = None,
) -> TriggerRequest:
    """Validate all that a caller says about a run. Raises ValidationError naming the field."""
    check_key("idempotencyKey", idempotency_key)
    check_key("concurrencyKey", concurrency_key)
    check_coalesce(coalesce, concurrency_key)
    return TriggerRequest(
        definition=definition,
        input_text=definition.input.dump(definition.input.validate(input)),
        labels=label_rules.validate(labels),
        idempotency_key=idempotency_key,
        concurrency_key=concurrency_key,
        coalesce=coalesce == "skip",
        retriggered_from=retriggered_from,
        triggered_by=triggered_by,
    )


def check_key(field: str, key: object) -> None:
    """Raises ValidationError when this is neither a key nor None."""
    if key is None:
        return
    if not isinstance(key, str):
        raise ValidationError(f"{field} must be a string, not {type(key).__name__}", field=field)
    if not 1 <= len(key) <= KEY_LENGTH:
        raise ValidationError(f"{field} must have 1 to {KEY_LENGTH} characters", field=field)
    values.encode(key, field)


def check_coalesce(coalesce: object, concurrency_key: str | None) -> None:
    """Raises ValidationError for what is neither None nor, with a key, `"skip"`."""
    if coalesce is None:
        return
    if coalesce != "skip":
        raise ValidationError("coalesce must be 'skip'", field="coalesce")
    if concurrency_key is None:
        raise ValidationError("coalesce needs a concurrencyKey", field="coalesce")


def trigger(request: TriggerRequest) -> Run:
    """One run for this request; its ``disposition`` says how it was got.

    Raises ConflictError when a pending run of the job holds the concurrency key and the request
    does not coalesce.
    """
    return trigger_many([request])[0]


def trigger_many(requests: Sequence[TriggerRequest]) -> list[Run]:
    """The runs for these requests, in their order: all are created, or none."""
    enqueued = enqueue.enqueue([_new_run(request) for request in requests])
    after_commit(enqueued.drafts, enqueued.event_ids, wakeups.RUNS, wakeups.EVENTS)
    return list(enqueued.runs)


def _new_run(request: TriggerRequest) -> NewRun:
    return NewRun(
        job_name=request.definition.name,
        input=values.decode(request.input_text),
        input_text=request.input_text,
        labels=request.labels,
        labels_text=dumps(request.labels),
        idempotency_key=request.idempotency_key,
        concurrency_key=request.concurrency_key,
        coalesce=request.coalesce,
        retriggered_from=request.retriggered_from,
        triggered_by=request.triggered_by,
        accept=request.accept,
    )


def after_commit(drafts: Sequence[EventDraft], event_ids: Sequence[int], *topics: str) -> None:
    """Tell listeners in this process and wake the others, once the transaction has committed."""
    if not drafts:
        return
    wakeups.publish_on_commit(*topics)
    transaction.on_commit(
        partial(signals.send_recorded, drafts, event_ids),
        using=get_settings().database,
        robust=True,
    )
