"""Jobs for tests with real worker processes: they write notes and wait at gates."""

import asyncio
import os
from functools import partial
from typing import Any

from pydantic import BaseModel

from django_durably import AsyncStepContext, StepContext, job
from example_project.airports import dataset
from tests.support.notebook import Notebook


class Place(BaseModel):
    """Where a body and its test meet."""

    directory: str

    @property
    def notebook(self) -> Notebook:
        return Notebook(self.directory)


class Import(Place):
    batch_size: int = 500
    rows: int = 100_000


@job("import-in-steps")
def import_in_steps(step: StepContext, input: Import) -> int:
    """Saves airports as the example site does, and notes each execution of a step."""
    rows = dataset.read()[: input.rows]
    for number, start in enumerate(range(0, len(rows), input.batch_size)):
        name = f"save-{number}"
        batch = rows[start : start + input.batch_size]
        step.run(name, partial(_save, input.notebook, name, step.attempt, batch))
        step.progress(start + len(batch), len(rows))
        step.log.info("saved", {"step": name})  # noqa: PLE1205  no logger
    return len(rows)


def _save(notebook: Notebook, name: str, attempt: int, batch: list[dict[str, str]]) -> int:
    notebook.write("executed", name, attempt)
    return dataset.save(batch)


class Many(Place):
    steps: int


@job("gated-steps")
def gated_steps(step: StepContext, input: Many) -> int:
    """Each step waits at the gate of its number, if there is one."""
    for number in range(input.steps):
        step.run(str(number), _pass, input.notebook, number, step.attempt)
    return input.steps


@job("gated-async-steps")
async def gated_async_steps(step: AsyncStepContext, input: Many) -> int:
    for number in range(input.steps):
        await step.run(str(number), _pass, input.notebook, number, step.attempt)
    return input.steps


def _pass(notebook: Notebook, number: int, attempt: int) -> int:
    notebook.write("began", number, attempt)
    notebook.pass_gate(str(number))
    notebook.write("ended", number, attempt)
    return number


class Keyed(Place):
    key: str = ""
    steps: int = 1


@job("keyed")
def keyed(step: StepContext, input: Keyed) -> None:
    """Notes when it executes, so that a test can see who overlaps with whom."""
    _note_interval(step, input)


@job("keyed-too")
def keyed_too(step: StepContext, input: Keyed) -> None:
    _note_interval(step, input)


def _note_interval(step: StepContext, input: Keyed) -> None:
    input.notebook.write("begin", step.run_id, input.key)
    for number in range(input.steps):
        step.run(f"step-{number}", input.notebook.pass_gate, input.key)
    input.notebook.write("end", step.run_id, input.key)


@job("wait-for-signal")
def wait_for_signal(step: StepContext, input: Place) -> None:
    """A long step that looks at `step.signal`, and one after it that must not begin."""
    step.run("long", _wait_for_signal, step, input.notebook)
    step.run("after", input.notebook.write, "after")


def _wait_for_signal(step: StepContext, notebook: Notebook) -> str:
    notebook.write("waiting")
    step.signal.wait()
    notebook.write("signal", step.signal.reason, step.signal.aborted)
    notebook.pass_gate("signal")
    return str(step.signal.reason)


@job("wait-for-ever")
async def wait_for_ever(step: AsyncStepContext, input: Place) -> None:
    await step.run("long", _wait_for_ever, input.notebook)


async def _wait_for_ever(notebook: Notebook) -> None:
    notebook.write("waiting")
    try:
        await asyncio.Event().wait()
    finally:
        notebook.write("ended")


@job("swallow-cancellation")
async def swallow_cancellation(step: AsyncStepContext, input: Place) -> str:
    """Does what a body should not do: goes on after it was cancelled."""
    try:
        await step.run("long", _wait_for_ever, input.notebook)
    except BaseException as error:
        input.notebook.write("swallowed", type(error).__name__)
    try:
        await step.run("after", input.notebook.write, "after")
    except BaseException as error:
        input.notebook.write("again", type(error).__name__)
    return "done"


@job("die")
def die(step: StepContext, input: Place) -> None:
    input.notebook.write("dying")
    os._exit(9)


class Behaviour(Place):
    kind: str


@job("misbehave")
def misbehave(step: StepContext, input: Behaviour) -> Any:
    return _MISDEEDS[input.kind](step)


def _return_what_json_cannot_hold(step: StepContext) -> object:
    return object()


def _step_returns_what_json_cannot_hold(step: StepContext) -> object:
    return step.run("makes-a-set", lambda: {1, 2})


def _step_with_a_long_name(step: StepContext) -> object:
    return step.run("x" * 1000, int)


def _step_that_stops_iteration(step: StepContext) -> object:
    return step.run("next", lambda: next(iter(())))


def _error_that_no_encoding_knows(step: StepContext) -> object:
    raise OSError("no such file: caf\udce9\0")


def _result_larger_than_a_packet(step: StepContext) -> object:
    return len(step.run("large", lambda: "x" * 20_000_000))


def _break_the_journal(step: StepContext) -> object:
    step._journal.submit("no change")  # type: ignore[arg-type]
    return step.run("never stored", int)


def _step_that_the_database_refuses(step: StepContext) -> object:
    return step.run("poison", int)


_MISDEEDS = {
    "output": _return_what_json_cannot_hold,
    "step-output": _step_returns_what_json_cannot_hold,
    "step-name": _step_with_a_long_name,
    "stop-iteration": _step_that_stops_iteration,
    "encoding": _error_that_no_encoding_knows,
    "journal": _break_the_journal,
    "poison": _step_that_the_database_refuses,
    "large": _result_larger_than_a_packet,
}


@job("misbehave-async")
async def misbehave_async(step: AsyncStepContext, input: Behaviour) -> Any:
    return await step.run("next", lambda: next(iter(())))
