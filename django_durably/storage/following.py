"""What a page shows of a run that it will go on following, and from where in the log on.

An event that tells of something shown already must be known by its id: a line of the run's log
would stand there twice. An event that is missed would be missing for ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import Subquery

from django_durably.models import Event, LogEntry, Run, Step
from django_durably.storage import database, events
from django_durably.storage.cursors import Cursor

LOOK_BACK: Final = 200
"""How many events a page looks through for ids that are still missing: it is read soon."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A run as it is, its newest steps and log entries in order.

    All of it contains the run's events up to ``event_id``; the log contains no other.
    """

    run: Run
    steps: tuple[Step, ...]
    logs: tuple[LogEntry, ...]
    event_id: int
    cursor: Cursor


def follow(run: Run, limit: int) -> Followed:
    """The run with at most ``limit`` steps and log entries. One that was deleted is as passed."""
    if run.is_terminal:
        return Followed(run, _steps(run, limit), _ordered(_logs(run, limit)), 0, Cursor(0))
    # First the places, then what is shown, so that nothing falls between the two.
    cursor = events.present_cursor(LOOK_BACK)
    event_id = _newest_event(run) or 0
    logs = _ordered(_logs(run, limit))
    if logs:
        # Read in one statement with the log, hence of the same moment.
        event_id = getattr(logs[0], "event_id", None) or event_id
    steps = _steps(run, limit)
    present = Run.objects.using(_alias()).filter(pk=run.pk).first() or run
    if present.is_terminal:  # Nobody follows it any more: what was read above must be complete.
        return follow(present, limit)
    return Followed(present, steps, logs, event_id, cursor)


def _alias() -> str:
    return database.connection().alias


def _newest_event(run: Run) -> int | None:
    events_of_run = Event.objects.using(_alias()).filter(run_id=run.pk)
    return events_of_run.order_by("-pk").values_list("pk", flat=True).first()


def _logs(run: Run, limit: int) -> Iterable[LogEntry]:
    newest = Event.objects.using(_alias()).filter(run_id=run.pk).order_by("-pk").values("pk")[:1]
    entries = LogEntry.objects.using(_alias()).filter(run=run).order_by("-pk")
    return entries.annotate(event_id=Subquery(newest))[:limit]


def _ordered(entries: Iterable[LogEntry]) -> tuple[LogEntry, ...]:
    return tuple(reversed(list(entries)))


def _steps(run: Run, limit: int) -> tuple[Step, ...]:
    """The last try of each step."""
    steps = Step.objects.using(_alias()).filter(run=run).defer("output")
    newest_first = steps.order_by("-index", "-attempt")[:limit]
    tries = {step.name: step for step in reversed(newest_first)}
    return tuple(tries.values())
