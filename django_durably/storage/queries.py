"""The read side: questions that need more than a queryset."""

from dataclasses import dataclass

from django_durably import clock
from django_durably.models import Run
from django_durably.storage import database, workers


@dataclass(frozen=True, slots=True)
class Health:
    """How many workers are alive, and how many seconds the oldest claimable run has waited."""

    workers: int
    longest_wait: float | None


def health() -> Health:
    alias = database.connection().alias
    # A run that waits for its concurrency key waits for another run, not for a worker.
    waiting = Run.objects.using(alias).filter(status="pending", blocked=False).order_by("id")
    oldest = waiting.values_list("updated_at", flat=True).first()
    return Health(
        workers=workers.count_alive(),
        longest_wait=(clock.now() - oldest).total_seconds() if oldest is not None else None,
    )
