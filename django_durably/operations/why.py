"""Why a run is not executing, in words for people."""

from collections.abc import Iterator

from django.db.models import DateTimeField
from django.db.models.expressions import RawSQL

from django_durably import clock
from django_durably.models import Run, RunStatus, Worker
from django_durably.storage import database, workers
from django_durably.storage.queries import RunFilter

_EVERYTHING = RunFilter()


def why(run: Run, visible: RunFilter = _EVERYTHING) -> list[str]:
    """The reasons why this active run is not executing; none when it executes or has ended.

    `visible` is what the asker may see: other runs are neither named nor counted.
    """
    if run.status == RunStatus.PENDING:
        return list(_why_pending(run, visible))
    if run.status == RunStatus.LEASED and _has_expired(run):
        return ["Its worker has not been heard of in time; another one will take it over."]
    return []


def _why_pending(run: Run, visible: RunFilter) -> Iterator[str]:
    alive = _alive()
    takers = [worker for worker in alive if run.job_name in worker.jobs]
    if not alive:
        yield "No worker is alive."
    elif not takers:
        yield f"No live worker takes the job {run.job_name}."
    elif all(worker.busy >= worker.concurrency for worker in takers):
        yield "All slots of the workers that take its job are busy."
    if (holder := _holder(run)) is not None:
        yield _held_by(holder, visible)
    if ahead := _count_ahead(run, visible):
        runs = "run of its job is" if ahead == 1 else "runs of its job are"
        yield f"{ahead} older {runs} waiting."


def _alive() -> list[Worker]:
    since = clock.now() - workers.silence_of_the_dead()
    return list(Worker.objects.using(database.connection().alias).filter(heartbeat_at__gte=since))


def _holder(run: Run) -> Run | None:
    """The run that executes with this one's concurrency key."""
    if run.concurrency_key is None:
        return None
    runs = Run.objects.using(database.connection().alias)
    return runs.filter(leased_key=run.concurrency_key).exclude(pk=run.pk).first()


def _held_by(holder: Run, visible: RunFilter) -> str:
    if visible.matches(holder.job_name, holder.labels, holder.status):
        return f"Its concurrency key is held by the run {holder.pk} ({holder.job_name})."
    return "Its concurrency key is held by another run."


def _count_ahead(run: Run, visible: RunFilter) -> int:
    runs = Run.objects.using(database.connection().alias)
    waiting = runs.filter(status=RunStatus.PENDING, blocked=False, job_name=run.job_name)
    return visible.apply(waiting.filter(pk__lt=run.pk)).count()


def _has_expired(run: Run) -> bool:
    connection = database.connection()
    now = RawSQL(clock.database_now_sql(connection), [], output_field=DateTimeField())
    leased = Run.objects.using(connection.alias).filter(pk=run.pk, status=RunStatus.LEASED)
    return leased.filter(lease_expires_at__lt=now).exists()
