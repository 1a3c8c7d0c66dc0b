"""What is to be stored: plain values that travel from triggers and bodies to the tables."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django_durably.events import EventDraft

if TYPE_CHECKING:
    from django_durably.models import Run


@dataclass(frozen=True, slots=True)
class NewRun:
    """A validated request for a run. ``input`` and ``labels`` come as JSON text and as values.

    ``accept`` is called with a run that holds one of the keys already, before it becomes the
    answer and before an event tells of it; it raises to refuse.
    """

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
    accept: "Callable[[Run], None] | None" = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to execute one run, until it is renewed, lost, handed back or settled.

    ``generation`` is the fencing token: it grows with every claim of the run. ``key`` is the
    concurrency key that the lease holds.
    """

    run_id: UUID
    generation: int
    owner: str
    key: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class StepRow:
    name: str
    index: int
    attempt: int
    status: str
    output: str | None  # JSON text
    error: str | None
    started_at: datetime
    completed_at: datetime

    @property
    def is_checkpoint(self) -> bool:
        return self.status == "completed"


@dataclass(frozen=True, slots=True)
class LogRow:
    step_name: str | None
    level: str
    message: str
    data: str | None  # JSON text
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a lease ends: completed, failed, or handed back (``pending``)."""

    status: str
    output: str | None = None  # JSON text
    error: str | None = None
    traceback: str | None = None
    keep_steps: bool = True

    @property
    def is_terminal(self) -> bool:
        return self.status != "pending"


@dataclass(slots=True)
class Change:
    """One change of a leased run, with the events that tell of it. Stored as a whole or not at all.

    ``of_cancelled`` marks a note about a run whose cancellation ended the lease: it is stored
    while the run is cancelled and nobody has claimed it since, and changes nothing but its
    history.
    """

    lease: Lease
    events: tuple[EventDraft, ...] = ()
    step: StepRow | None = None
    log: LogRow | None = None
    progress: str | None = None  # JSON text
    settlement: Settlement | None = None
    of_cancelled: bool = False


def news(changes: Sequence[Change]) -> tuple[str | None, int | None, int]:
    """What changes of one lease do to its run's row: the latest progress (JSON text), the index of
    the next step, and how many checkpoints there are."""
    progress = [change.progress for change in changes if change.progress is not None]
    done = [c.step.index for c in changes if c.step is not None and c.step.is_checkpoint]
    return (progress[-1] if progress else None, max(done) + 1 if done else None, len(done))


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """At most ``limit`` runs of these jobs for this worker."""

    owner: str
    jobs: tuple[str, ...]
    limit: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that has just been leased, with all that its execution needs to know."""

    lease: Lease
    job_name: str
    input: Any
    labels: dict[str, str]
    labels_text: str
    steps: tuple[StepRow, ...] = ()

    @classmethod
    def from_row(cls, row: Sequence[Any], owner: str, key: str | None = None) -> Self:
        """From id, job name, input and labels (JSON text) and the generation before the claim."""
        run_id, job_name, input_text, labels_text, generation = row
        return cls(
            Lease(run_id if isinstance(run_id, UUID) else UUID(run_id), generation + 1, owner, key),
            job_name,
            json.loads(input_text) if input_text is not None else None,
            json.loads(labels_text),
            labels_text,
        )
