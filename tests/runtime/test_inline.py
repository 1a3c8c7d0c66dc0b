"""Executing runs in the calling thread: the rules of a body, free of threads and processes."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import TestCase

from django_durably import AsyncStepContext, CancelledError, StepContext, clock, get_job, job
from django_durably.exceptions import ConflictError, NotFoundError
from django_durably.models import Event, LogEntry, Run, Step
from django_durably.pytest_plugin import Durably
from django_durably.storage import claims
from django_durably.storage.changes import ClaimRequest
from django_durably.testing import arun_until_idle, execute_run, run_job, run_until_idle

pytestmark = pytest.mark.django_db

calls: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@job("inline-sum")
def inline_sum(step: StepContext, input: list[int]) -> int:
    total = 0
    for at, number in enumerate(input):
        total = step.run(f"add-{at}", int.__add__, total, number)
        step.progress(at + 1, len(input))
    step.log.info("summed", {"n": len(input)})  # noqa: PLE1205  no logger
    return total


@job("inline-async")
async def inline_async(step: AsyncStepContext, input: dict[str, int]) -> str:
    async def fetch() -> int:
        return input["a"]

    fetched = await step.run("fetch", fetch)
    users = await step.run("plain", User.objects.count)
    step.progress(1, 2, "half")
    step.log.warn("async")  # noqa: G010  no logger
    return f"{fetched} {users}"


@job("inline-fail")
def inline_fail(step: StepContext) -> None:
    step.run("ok", lambda: 1)
    step.run("bad", lambda: 1 / 0)


@job("inline-caught")
def inline_caught(step: StepContext, input: bool) -> str:
    """Catches the error of a step; fails after it the first time."""
    try:
        step.run("flaky", _flaky)
    except RuntimeError:
        calls.append("caught")
    step.run("steady", calls.append, "steady")
    if input and step.attempt == 1:
        raise KeyboardInterrupt
    return "ended"


def _flaky() -> None:
    calls.append("flaky")
    raise RuntimeError("flaky")


@job("inline-twice")
def inline_twice(step: StepContext) -> list[int]:
    return [step.run("same", abs, number) for number in (1, 2)]


@job("inline-ordered")
def inline_ordered(step: StepContext) -> None:
    step.log.info("one")
    step.progress(1)
    step.run("first", lambda: step.log.info("inside"))
    step.log.info("two")


@job("inline-cancels-itself")
def inline_cancels_itself(step: StepContext) -> None:
    try:
        step.run("cancel", Run.objects.get(pk=step.run_id).cancel)
    except CancelledError:
        calls.append("cancelled")
    for again in (step.raise_if_aborted, lambda: step.run("more", int), lambda: step.log.info("x")):
        try:
            again()
        except CancelledError:
            calls.append("again")


def test_a_def_job() -> None:
    run = run_job(inline_sum, [1, 2, 3])
    assert (run.status, run.output, run.completed_step_count) == ("completed", 6, 3)
    assert [step.name for step in run.steps.all()] == ["add-0", "add-1", "add-2"]
    assert run.progress == {"current": 3, "total": 3}
    first = list(Event.objects.filter(run_id=run.pk).values_list("type", flat=True))[:3]
    assert first == ["run:trigger", "run:leased", "step:start"]
    assert LogEntry.objects.get().data == {"n": 3}


def test_an_async_job() -> None:
    run = inline_async.trigger({"a": 7})
    assert run_until_idle() == 1
    run.refresh_from_db()
    assert (run.status, run.error, run.output) == ("completed", None, "7 0")
    assert run.progress == {"current": 1, "total": 2, "message": "half"}


def test_a_job_that_fails() -> None:
    run = run_job(inline_fail)
    assert (run.status, run.error) == ("failed", "division by zero")
    assert "ZeroDivisionError" in (run.error_traceback or "")
    bad = Step.objects.get(name="bad")
    assert (bad.status, bad.error) == ("failed", "division by zero")
    failure = Event.objects.get(type="run:fail")
    assert failure.payload == {"error": "division by zero", "failedStepName": "bad"}
    assert run.retrigger().retriggered_from == run.pk


def test_a_failed_step_executes_again_on_resume_and_a_completed_one_does_not() -> None:
    run = inline_caught.trigger(True)
    (claimed,) = claims.claim(ClaimRequest("dead", ("inline-caught",), 1)).runs
    _die_in_the_middle(claimed)
    with clock.shift(timedelta(hours=1)):
        assert run_until_idle() == 1
    run.refresh_from_db()
    assert (run.status, run.output, run.lease_generation) == ("completed", "ended", 2)
    assert calls == ["flaky", "caught", "steady", "flaky", "caught"]
    tries = [(s.name, s.attempt, s.status, s.lease_generation) for s in run.steps.all()]
    assert tries == [
        ("flaky", 1, "failed", 1),
        ("flaky", 2, "failed", 2),
        ("steady", 1, "completed", 1),
    ]


def _die_in_the_middle(claimed: Any) -> None:
    """Execute the body as a worker that dies before it settles anything."""
    from django_durably.runtime.inline_journal import InlineJournal

    context = StepContext(claimed, InlineJournal())
    with pytest.raises(KeyboardInterrupt):
        inline_caught.func(context, True)


def test_the_same_step_name_again_returns_the_first_result(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "django_durably"):
        run = run_job(inline_twice)
    assert run.output == [1, 1]
    (record,) = caplog.records
    assert record.name == "django_durably"
    assert "'same'" in record.getMessage()
    assert (record.run_id, record.job) == (str(run.pk), "inline-twice")  # type: ignore[attr-defined]
    assert run.steps.count() == 1
    assert run.logs.count() == 0


def test_reports_are_stored_before_what_follows_them() -> None:
    run = run_job(inline_ordered)
    told = list(Event.objects.filter(run_id=run.pk).values_list("type", flat=True))
    assert told == [
        "run:trigger",
        "run:leased",
        "log:write",
        "run:progress",
        "step:start",
        "log:write",
        "step:complete",
        "log:write",
        "run:complete",
    ]
    logs = [(entry.step_name, entry.message) for entry in run.logs.all()]
    assert logs == [(None, "one"), ("first", "inside"), (None, "two")]


def test_a_body_that_goes_on_after_its_cancellation_is_told_again() -> None:
    run = run_job(inline_cancels_itself)
    assert (run.status, run.output) == ("cancelled", None)
    assert calls == ["cancelled", "again", "again", "again"]
    assert [step.status for step in run.steps.all()] == ["cancelled"]
    assert Event.objects.filter(run_id=run.pk, type="step:cancel").exists()


def test_runs_until_idle_in_order_and_only_these_jobs() -> None:
    fails = inline_fail.trigger()
    sums = [inline_sum.trigger([number]) for number in range(3)]
    assert run_until_idle(["inline-sum"]) == 3
    assert [Run.objects.get(pk=run.pk).output for run in sums] == [0, 1, 2]
    fails.refresh_from_db()
    assert fails.status == "pending"
    with pytest.raises(NotFoundError, match="Job not found: nothing"):
        run_until_idle(["nothing"])


@job("inline-for-ever")
def inline_for_ever(step: StepContext) -> None:
    inline_for_ever.trigger()


def test_jobs_that_trigger_each_other_for_ever_are_stopped() -> None:
    inline_for_ever.trigger()
    with pytest.raises(RuntimeError, match="More than 5 runs"):
        run_until_idle(max_runs=5)


def test_only_a_run_that_can_be_claimed_is_executed() -> None:
    run = run_job(inline_sum, [1])
    with pytest.raises(ConflictError):
        execute_run(run)


def test_signals_arrive_in_process(
    heard: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = inline_sum.trigger([1], labels={"org": "7"})
    run_until_idle()
    assert [event.type for event in heard] == [
        "run:trigger",
        "run:leased",
        "step:start",
        "step:complete",
        "run:progress",
        "log:write",
        "run:complete",
    ]
    assert {event.run_id for event in heard} == {run.pk}
    assert all(event.labels == {"org": "7"} for event in heard)
    numbers = [event.sequence for event in heard]
    assert numbers == sorted(numbers)


class InTestCase(TestCase):
    """What a site's own tests look like: everything inside one transaction, rolled back."""

    def test_bodies_see_the_transaction_of_the_test(self) -> None:
        User.objects.create(username="ann")
        run = inline_async.trigger({"a": 1})
        assert run_until_idle() == 1
        run.refresh_from_db()
        assert run.output == "1 1"

    async def test_from_async_code(self) -> None:
        await User.objects.acreate(username="bob")
        run = await inline_async.atrigger({"a": 2})
        assert await arun_until_idle() == 1
        await run.arefresh_from_db()
        assert (run.error, run.output) == (None, "2 1")


def test_the_fixture(durably: Durably) -> None:
    assert durably.run_job(inline_sum, [1, 2]).output == 3
    inline_sum.trigger([5])
    assert durably.run_until_idle() == 1
    assert durably.execute_run(inline_sum.trigger([6])).output == 6
    assert get_job("inline-sum") is inline_sum
