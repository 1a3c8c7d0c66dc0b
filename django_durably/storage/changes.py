"""What a lease holder wants stored: plain values that travel from a body to the journal."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django_durably.events import EventDraft


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to execute one run, until it is renewed, lost, handed back or settled.

    ``generation`` is the fencing token: it grows with every claim of the run.
    """

    run_id: UUID
    generation: int
    owner: str


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
