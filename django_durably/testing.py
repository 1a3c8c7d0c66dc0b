"""For a site's own tests: execute runs in the calling thread, on the test's own connection.

Nothing here starts a thread or a process, so it works inside ``TestCase``: what a test does in its
transaction the bodies see, and all of it is rolled back.
"""

from collections.abc import Callable, Sequence
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from django_durably import signals
from django_durably.decorators import Job
from django_durably.exceptions import ConflictError
from django_durably.jobs import registry
from django_durably.models import Run
from django_durably.runtime import execution
from django_durably.runtime.async_context import AsyncStepContext
from django_durably.runtime.context import StepContext
from django_durably.runtime.inline_journal import InlineJournal
from django_durably.storage import claims, database, leases
from django_durably.storage.changes import Claimed, ClaimRequest

WORKER_ID = "inline"


def run_until_idle(jobs: Sequence[str] = (), max_runs: int = 10_000) -> int:
    """Execute pending runs, the oldest first, until none is left; how many were executed.

    ``jobs`` limits it to those names. Runs whose worker died are taken over first, once their lease
    has expired. Raises RuntimeError after ``max_runs``, when jobs trigger each other for ever.
    """
    names = tuple(registry.get(name).name for name in jobs) or tuple(registry.names())
    expired = leases.release_expired()
    signals.send_recorded(expired.drafts, expired.event_ids)
    done = 0
    more = True
    while more:
        taken = claims.claim(ClaimRequest(WORKER_ID, names, 1))
        signals.send_recorded(taken.drafts, taken.event_ids)
        for run in taken.runs:
            if done >= max_runs:
                raise RuntimeError(f"More than {max_runs} runs were executed, and there are more")
            _execute(run)
            done += 1
        more = bool(taken.runs) or taken.more
    return done


arun_until_idle = sync_to_async(run_until_idle, thread_sensitive=True)


def run_job(job: Job[Any, Any], input: Any = None, **options: Any) -> Run:
    """Trigger this job and execute that one run; the run as it ended, failed ones too.

    ``options`` are those of ``Job.trigger``.
    """
    return execute_run(job.trigger(input, **options))


def execute_run(run: Run) -> Run:
    """Execute this pending run and return it as it is afterwards.

    Raises ConflictError when it is not pending, or its concurrency key is held.
    """
    claimed = claims.claim_one(run.pk, WORKER_ID)
    if claimed is None:
        raise ConflictError(f"Run {run.pk} cannot be claimed")
    _execute(claimed)
    return Run.objects.using(database.connection().alias).get(pk=run.pk)


def _execute(run: Claimed) -> None:
    journal = InlineJournal()
    context = execution.make_context(run, journal, _in_calling_thread)
    if isinstance(context, AsyncStepContext):
        ended = async_to_sync(execution.aexecute)(run, context)
    else:
        assert isinstance(context, StepContext)
        ended = execution.execute(run, context)
    execution.settle(run, ended, journal, journal.flush)


async def _in_calling_thread(function: Callable[[], Any]) -> Any:
    return await sync_to_async(function, thread_sensitive=True)()
