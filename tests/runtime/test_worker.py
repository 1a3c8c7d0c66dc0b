"""A worker's threads, seen from inside its process."""

import threading
import time
from typing import Any

import pytest

from django_durably import AsyncStepContext, StepContext, job
from django_durably.events import Event
from django_durably.models import Event as EventRow
from django_durably.models import Run
from django_durably.runtime.worker import Worker
from django_durably.signals import run_completed, step_completed
from tests.runtime.conftest import StartWorker
from tests.support.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


class Meeting:
    """Where the bodies of this module and its tests meet."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.gate = threading.Event()
        self.executed: list[str] = []

    def stop_here(self, name: str) -> None:
        self.executed.append(name)
        self.reached.release()
        assert self.gate.wait(20)


meeting = Meeting()


@pytest.fixture(autouse=True)
def _a_new_meeting() -> None:
    meeting.__init__()  # type: ignore[misc]


@job("worker-steps")
def worker_steps(step: StepContext, input: int) -> int:
    for number in range(input):
        step.run(f"step-{number}", meeting.stop_here, f"{number} of {step.attempt}")
    return input


@job("worker-async-steps")
async def worker_async_steps(step: AsyncStepContext, input: int) -> int:
    for number in range(input):
        await step.run(f"step-{number}", meeting.stop_here, f"{number} of {step.attempt}")
    return input


@job("worker-reports")
def worker_reports(step: StepContext) -> None:
    for number in range(200):
        step.log.info("log", {"number": number})  # noqa: PLE1205  no logger
        step.progress(number)
    step.run("after", int)
    step.log.info("last")


@pytest.mark.parametrize("body", [worker_steps, worker_async_steps])
def test_no_step_starts_after_the_deadline_of_the_lease(
    body: Any, start_worker: StartWorker
) -> None:
    """The heartbeat has stopped, as if the database had not answered it for the whole lease."""
    worker = start_worker(jobs=[body.name])
    run = body.trigger(2)
    assert meeting.reached.acquire(timeout=10)
    worker._heartbeat.stop(10)
    (lease,) = worker._active.leases()
    execution = worker._active.get(lease)
    assert execution is not None
    eventually(lambda: time.monotonic() > execution.context.lease_deadline)
    meeting.gate.set()

    eventually(lambda: Run.objects.get(pk=run.pk).lease_generation > 1, 10, "not handed back")
    eventually(lambda: Run.objects.get(pk=run.pk).status == "completed")
    assert "1 of 1" not in meeting.executed
    assert meeting.executed[-1] == "1 of 2"
    assert isinstance(worker, Worker)


def test_a_body_is_aborted_before_its_lease_runs_out(start_worker: StartWorker) -> None:
    worker = start_worker(jobs=["worker-steps"])
    worker_steps.trigger(1)
    assert meeting.reached.acquire(timeout=10)
    worker._heartbeat.stop(10)
    (lease,) = worker._active.leases()
    execution = worker._active.get(lease)
    assert execution is not None
    eventually(execution.context.is_aborted)
    meeting.gate.set()


def test_signals_arrive_in_the_process(start_worker: StartWorker, heard: list[Event]) -> None:
    meeting.gate.set()
    start_worker(jobs=["worker-steps"])
    run = worker_steps.trigger(2, labels={"org": "7"})
    eventually(lambda: "run:complete" in [event.type for event in heard])

    recorded = [event for event in heard if event.type != "run:lease-renewed"]
    assert [event.type for event in recorded] == [
        "run:trigger",
        "run:leased",
        *["step:start", "step:complete"] * 2,
        "run:complete",
    ]
    assert {(event.run_id, event.job_name) for event in recorded} == {(run.pk, "worker-steps")}
    assert recorded[-1].payload["output"] == 2
    rows = list(EventRow.objects.filter(run_id=run.pk).values_list("pk", "type"))
    assert [(event.sequence, event.type) for event in recorded] == rows


def test_a_renewed_lease_is_told(start_worker: StartWorker, heard: list[Event]) -> None:
    start_worker(jobs=["worker-steps"])
    worker_steps.trigger(1)
    eventually(lambda: "run:lease-renewed" in [event.type for event in heard])
    meeting.gate.set()


def test_a_receiver_that_raises_hurts_nobody(
    start_worker: StartWorker, caplog: pytest.LogCaptureFixture
) -> None:
    def raises(**kwargs: Any) -> None:
        raise RuntimeError("a bad receiver")

    meeting.gate.set()
    for signal in (step_completed, run_completed):
        signal.connect(raises)
    try:
        start_worker(jobs=["worker-steps"])
        run = worker_steps.trigger(3)
        eventually(lambda: Run.objects.get(pk=run.pk).status == "completed")
        eventually(lambda: len(_messages(caplog)) >= 4)
    finally:
        for signal in (step_completed, run_completed):
            signal.disconnect(raises)
    assert {message.split(" failed")[0] for message in _messages(caplog)} == {
        "A receiver of step:complete",
        "A receiver of run:complete",
    }


def _messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "django_durably"]


def test_reports_are_stored_before_the_checkpoint_that_follows(start_worker: StartWorker) -> None:
    start_worker(jobs=["worker-reports"])
    run = worker_reports.trigger()
    eventually(lambda: Run.objects.get(pk=run.pk).status == "completed")

    told = list(EventRow.objects.filter(run_id=run.pk).values_list("type", flat=True))
    logs = [at for at, type_ in enumerate(told) if type_ == "log:write"]
    assert len(logs) == 201
    assert logs[199] < told.index("step:start") < told.index("step:complete") < logs[200]
    assert told[-1] == "run:complete"
    last_progress = max(at for at, type_ in enumerate(told) if type_ == "run:progress")
    assert last_progress < told.index("step:start")
    run.refresh_from_db()
    assert run.progress == {"current": 199}
    logged = list(run.logs.values_list("message", "data"))
    assert logged == [*(("log", {"number": number}) for number in range(200)), ("last", None)]


def test_max_runs_ends_the_worker_after_them(start_worker: StartWorker) -> None:
    meeting.gate.set()
    runs = [worker_steps.trigger(1) for _ in range(3)]
    worker = start_worker(jobs=["worker-steps"], max_runs=2)
    eventually(worker._finished.is_set)
    statuses = [Run.objects.get(pk=run.pk).status for run in runs]
    assert statuses == ["completed", "completed", "pending"]
