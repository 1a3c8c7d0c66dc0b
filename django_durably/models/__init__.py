from django_durably.models.event import Event
from django_durably.models.log import LogEntry
from django_durably.models.rollup import Overview, Rollup
from django_durably.models.run import Run, RunLabel, RunQuerySet, RunStatus
from django_durably.models.step import Step
from django_durably.models.worker import Worker

__all__ = [
    "Event",
    "LogEntry",
    "Overview",
    "Rollup",
    "Run",
    "RunLabel",
    "RunQuerySet",
    "RunStatus",
    "Step",
    "Worker",
]
