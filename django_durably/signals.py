"""One Django signal per event, sent with ``event=`` in the process where it happened.

They are sent after the state is committed. A receiver that raises is logged and hurts nobody.
Receivers of a worker's events run in the worker's journal thread: keep them short.
"""

import itertools
import json
import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.dispatch import Signal

from django_durably import clock
from django_durably.events import Event, EventDraft, EventType

logger = logging.getLogger("django_durably")

run_triggered = Signal()
run_coalesced = Signal()
run_leased = Signal()
run_lease_renewed = Signal()
run_progressed = Signal()
run_completed = Signal()
run_failed = Signal()
run_cancelled = Signal()
run_deleted = Signal()
step_started = Signal()
step_completed = Signal()
step_failed = Signal()
step_cancelled = Signal()
log_written = Signal()
worker_error = Signal()

SIGNALS = {
    EventType.RUN_TRIGGER: run_triggered,
    EventType.RUN_COALESCED: run_coalesced,
    EventType.RUN_LEASED: run_leased,
    EventType.RUN_LEASE_RENEWED: run_lease_renewed,
    EventType.RUN_PROGRESS: run_progressed,
    EventType.RUN_COMPLETE: run_completed,
    EventType.RUN_FAIL: run_failed,
    EventType.RUN_CANCEL: run_cancelled,
    EventType.RUN_DELETE: run_deleted,
    EventType.STEP_START: step_started,
    EventType.STEP_COMPLETE: step_completed,
    EventType.STEP_FAIL: step_failed,
    EventType.STEP_CANCEL: step_cancelled,
    EventType.LOG_WRITE: log_written,
    EventType.WORKER_ERROR: worker_error,
}

_unrecorded = itertools.count(1)


def send_recorded(drafts: Sequence[EventDraft], ids: Sequence[int]) -> None:
    """Send the signals of events that were recorded under these ids."""
    for draft, sequence in zip(drafts, ids, strict=True):
        if SIGNALS[draft.type].receivers:
            payload = {**draft.fields, **{k: json.loads(v) for k, v in draft.encoded.items()}}
            labels = json.loads(draft.labels)
            _send(draft.type, draft.run_id, draft.job_name, labels, payload, sequence)


def send_unrecorded(
    type_: EventType, run_id: UUID | None, job_name: str, labels: dict[str, str], **payload: Any
) -> None:
    """Send the signal of an event that only this process hears of."""
    if SIGNALS[type_].receivers:
        _send(type_, run_id, job_name, labels, payload, next(_unrecorded))


def _send(
    type_: EventType,
    run_id: UUID | None,
    job_name: str,
    labels: dict[str, str],
    payload: dict[str, Any],
    sequence: int,
) -> None:
    event = Event(type_, run_id, job_name, labels, payload, clock.now(), sequence)
    for receiver, answer in SIGNALS[type_].send_robust(sender=None, event=event):
        if isinstance(answer, Exception):
            logger.error("A receiver of %s failed: %r", type_, receiver, exc_info=answer)
