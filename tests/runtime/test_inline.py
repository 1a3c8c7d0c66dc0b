"""Executing runs in the calling thread: the rules of a body, free of threads and processes."""

import pytest

from django_durably import AsyncStepContext, StepContext, get_job, job
from django_durably.models import Event, LogEntry, Run, Step
from django_durably.testing import run_job, run_until_idle

pytestmark = pytest.mark.django_db


@job("inline-sum")
def inline_sum(step: StepContext, input: list[int]) -> int:
    total = 0
    for at, number in enumerate(input):
        total = step.run(f"add-{at}", lambda a=total, b=number: a + b)
        step.progress(at + 1, len(input))
    step.log.info("summed", {"n": len(input)})
    return total


@job("inline-async")
async def inline_async(step: AsyncStepContext, input: dict[str, int]) -> str:
    async def fetch() -> int:
        return 7

    a = await step.run("fetch", fetch)
    b = await step.run("plain", lambda: Run.objects.count())
    step.progress(1, 2, "half")
    step.log.warn("async")
    return f"{a} {b}"


@job("inline-fail")
def inline_fail(step: StepContext) -> None:
    step.run("ok", lambda: 1)
    step.run("bad", lambda: 1 / 0)


def test_sync() -> None:
    run = run_job(inline_sum, [1, 2, 3])
    assert (run.status, run.output, run.completed_step_count, run.error) == ("completed", 6, 3, None)
    assert [s.name for s in run.steps.all()] == ["add-0", "add-1", "add-2"]
    assert run.progress == {"current": 3, "total": 3}
    assert [e.type for e in Event.objects.all()][:3] == ["run:trigger", "run:leased", "step:start"]
    assert LogEntry.objects.get().data == {"n": 3}


def test_async() -> None:
    run = inline_async.trigger({"a": 1})
    assert run_until_idle() == 1
    run.refresh_from_db()
    assert (run.status, run.error, run.output) == ("completed", None, "7 1")


def test_fail() -> None:
    run = run_job(inline_fail)
    assert (run.status, run.error) == ("failed", "division by zero")
    assert Step.objects.get(name="bad").status == "failed"
    assert Event.objects.get(type="run:fail").payload == {"error": "division by zero", "failedStepName": "bad"}
    again = run.retrigger()
    assert again.retriggered_from == run.pk
    assert get_job("inline-fail").name == "inline-fail"
