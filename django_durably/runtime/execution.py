"""One leased run: load, call, settle, report."""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from django_durably.conf import get_settings
from django_durably.events import EventDraft, EventType
from django_durably.exceptions import (
    CancelledError,
    HandedBack,
    LeaseLostError,
    RunInterrupted,
    ValidationError,
)
from django_durably.jobs import registry
from django_durably.jobs.definition import Definition
from django_durably.runtime.async_context import AsyncStepContext, InThread
from django_durably.runtime.checkpointing import message_of, storable
from django_durably.runtime.context import BaseContext, StepContext
from django_durably.runtime.context import Journal as ContextJournal
from django_durably.storage.changes import Change, Claimed, Settlement

logger = logging.getLogger("django_durably")


class Journal(ContextJournal, Protocol):
    def settle(self, change: Change, resolve: Callable[[BaseException | None], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Completed:
    output: str  # JSON text


@dataclass(frozen=True, slots=True)
class Failed:
    error: str
    traceback: str | None = None
    step: str = "unknown"


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The body was ended from outside; a run that is handed back is pending again."""

    error: RunInterrupted


Outcome = Completed | Failed | Interrupted


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended, after so many milliseconds."""

    outcome: Outcome
    duration: int


def execute(run: Claimed, context: StepContext) -> Ended:
    """Execute the body of a ``def`` job in this thread."""
    begun = time.monotonic()
    try:
        definition, arguments = _load(run)
        result = definition.func(context, *arguments)
        outcome = _outcome(definition, context, result)
    except BaseException as error:
        outcome = _failure(context, error)
    return Ended(outcome, _milliseconds_since(begun))


async def aexecute(run: Claimed, context: AsyncStepContext) -> Ended:
    """Execute the body of an ``async def`` job as this task."""
    begun = time.monotonic()
    try:
        definition, arguments = _load(run)
        result = await definition.func(context, *arguments)
        outcome = _outcome(definition, context, result)
    except asyncio.CancelledError as error:
        # Outside of a step, the cancelled task itself is how an abort shows.
        outcome = _failure(context, context.signal_error() or error)
    except BaseException as error:
        outcome = _failure(context, error)
    return Ended(outcome, _milliseconds_since(begun))


def _milliseconds_since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)


def make_context(run: Claimed, journal: Journal, in_thread: InThread) -> BaseContext:
    """The context that fits the job's body; a ``def`` body's when the job is unknown."""
    if run.job_name in registry.names() and registry.get(run.job_name).is_async:
        return AsyncStepContext(run, journal, in_thread)
    return StepContext(run, journal)


def _load(run: Claimed) -> tuple[Definition, tuple[Any, ...]]:
    definition = registry.get(run.job_name)
    if not definition.takes_input:
        return definition, ()
    try:
        return definition, (definition.input.validate(run.input),)
    except ValidationError as error:
        raise ValidationError(f"Invalid input: {error}") from error


def _outcome(definition: Definition, context: BaseContext, result: Any) -> Outcome:
    """What a body that returned means. An order to stop holds, even if the body swallowed it."""
    if context.interruption is not None:
        return Interrupted(context.interruption)
    try:
        return Completed(definition.output.dump(definition.output.validate(result)))
    except ValidationError as error:
        return Failed(f"Invalid output: {error}")


def _failure(context: BaseContext, error: BaseException) -> Outcome:
    if context.interruption is not None:
        return Interrupted(context.interruption)
    if isinstance(error, RunInterrupted):
        return Interrupted(error)
    step, cause = context.steps.failed or ("unknown", None)
    return Failed(
        message_of(error),
        storable("".join(traceback.format_exception(error))),
        step if cause is error else "unknown",
    )


def settle(run: Claimed, ended: Ended, journal: Journal, done: Callable[[], None]) -> None:
    """Store the outcome, and call ``done`` when there is nothing more to store for this lease.

    What the database refuses fails the run, with the database's reason.
    """
    outcome = ended.outcome
    change = _change(run, ended)
    if change is None:
        _report(run, outcome)
        done()
        return

    def resolve(refusal: BaseException | None) -> None:
        if isinstance(outcome, Completed) and isinstance(refusal, Exception):
            failed = Failed(f"The output could not be stored: {refusal}")
            settle(run, Ended(failed, ended.duration), journal, done)
            return
        if refusal is None:
            _report(run, outcome)
        elif isinstance(refusal, RunInterrupted):
            _report(run, Interrupted(refusal))
        else:
            logger.error("A run could not be settled: %s", refusal, extra=_extra(run))
        done()

    journal.settle(change, resolve)


def _change(run: Claimed, ended: Ended) -> Change | None:
    """The last change of a lease; None when there is nothing to write, the run being cancelled.

    A lease that this worker gave up because it could not renew it is handed back: it may be
    nobody else's yet. If it is, the fence keeps this from changing anything.
    """
    keep_steps = get_settings().preserve_steps
    match ended.outcome:
        case Completed(output):
            event = _event(
                run, EventType.RUN_COMPLETE, {"duration": ended.duration}, {"output": output}
            )
            how = Settlement("completed", output=output, keep_steps=keep_steps)
        case Failed(error, trace, step):
            event = _event(run, EventType.RUN_FAIL, {"error": error, "failedStepName": step}, {})
            how = Settlement("failed", error=error, traceback=trace, keep_steps=keep_steps)
        case Interrupted(HandedBack() | LeaseLostError()):
            return Change(run.lease, settlement=Settlement("pending"))
        case _:
            return None
    return Change(run.lease, (event,), settlement=how)


def _event(
    run: Claimed, type_: EventType, fields: dict[str, Any], encoded: dict[str, str]
) -> EventDraft:
    return EventDraft(type_, run.lease.run_id, run.job_name, run.labels_text, fields, encoded)


def _report(run: Claimed, outcome: Outcome) -> None:
    extra = _extra(run)
    match outcome:
        case Completed():
            logger.debug("Run completed", extra=extra)
        case Failed(error):
            logger.warning("Run failed: %s", error, extra=extra)
        case Interrupted(CancelledError()):
            logger.info("Run cancelled", extra=extra)
        case Interrupted(HandedBack()):
            logger.info("Run handed back", extra=extra)
        case Interrupted(LeaseLostError()):
            logger.warning("Lease lost", extra=extra)


def _extra(run: Claimed) -> dict[str, str]:
    return {"run_id": str(run.lease.run_id), "job": run.job_name}
