"""The read side: questions that need more than a queryset."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from django.db.models import Min

from django_durably import clock
from django_durably.models import Run, RunQuerySet
from django_durably.storage import database, workers


@dataclass(frozen=True, slots=True)
class Health:
    """How many workers are alive, and how many seconds the oldest claimable run has waited."""

    workers: int
    longest_wait: float | None


def health() -> Health:
    alias = database.connection().alias
    # A run that waits for its concurrency key waits for another run, not for a worker.
    waiting = Run.objects.using(alias).filter(status="pending", blocked=False)
    # Not that of the first run in the queue: one that was handed back has only begun to wait.
    oldest = waiting.aggregate(oldest=Min("updated_at"))["oldest"]
    return Health(
        workers=workers.count_alive(),
        longest_wait=(clock.now() - oldest).total_seconds() if oldest is not None else None,
    )


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are meant: of any of these jobs, in any of these statuses, with all these labels.

    None means any. Each method narrows: what it returns matches no run that this one does not.
    Two values for one label match nothing, since a run has one. Equal filters are one channel.
    """

    job_names: frozenset[str] | None = None
    statuses: frozenset[str] | None = None
    labels: frozenset[tuple[str, str]] = frozenset()

    def with_labels(self, **labels: str) -> Self:
        """Only runs that carry these labels, too. Pass ``**{"a/b": "c"}`` for other keys.

        Raises TypeError for a value that is not a string, which no run could match.
        """
        for key, value in labels.items():
            if not isinstance(value, str):
                raise TypeError(f"The label {key} must be a string, not {value!r}")
        return replace(self, labels=self.labels | set(labels.items()))

    def with_jobs(self, *names: str) -> Self:
        """Only runs of these jobs."""
        return replace(self, job_names=_narrowed(self.job_names, names))

    def with_statuses(self, *statuses: str) -> Self:
        """Only runs in these statuses."""
        return replace(self, statuses=_narrowed(self.statuses, statuses))

    def matches(self, job_name: str, labels: Mapping[str, str], status: str | None = None) -> bool:
        """Whether a run like this is meant. For an event, whose run's status is not known, leave
        ``status`` out: a filter by status then matches nothing."""
        return (
            (self.job_names is None or job_name in self.job_names)
            and (self.statuses is None or status in self.statuses)
            and all(labels.get(key) == value for key, value in self.labels)
        )

    def apply(self, runs: RunQuerySet) -> RunQuerySet:
        """Those of ``runs`` that are meant."""
        if self.job_names is not None:
            runs = runs.filter(job_name__in=sorted(filter(_can_be_stored, self.job_names)))
        if self.statuses is not None:
            runs = runs.filter(status__in=sorted(self.statuses))
        # One join for each label: a run has a key once, so the rows do not multiply, and the
        # database may start from the label or from the newest run, whichever is rarer.
        for key, value in sorted(self.labels):
            if not _can_be_stored(value):
                return runs.none()
            runs = runs.filter(label_rows__key=key, label_rows__value=value)
        return runs


def _narrowed(before: frozenset[str] | None, wanted: Iterable[str]) -> frozenset[str]:
    return frozenset(wanted) if before is None else before & frozenset(wanted)


def _can_be_stored(text: str) -> bool:
    """False for text that PostgreSQL would refuse to compare with."""
    return "\0" not in text
