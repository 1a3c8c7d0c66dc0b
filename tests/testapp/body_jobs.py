"""Jobs whose bodies do what is easily done wrong: loops, threads and transactions of their own."""

import asyncio
import sys
from uuid import uuid4

from django.db import transaction

from django_durably import AsyncStepContext, StepContext, job
from django_durably.models import Run
from tests.support.notebook import Notebook
from tests.testapp.process_jobs import Place


@job("exit-in-a-child-task")
async def exit_in_a_child_task(step: AsyncStepContext, input: Place) -> None:
    """One of two steps at once calls code that leaves as a management command does."""
    await asyncio.gather(step.run("stays", int), step.run("leaves", sys.exit, "bad arguments"))


@job("count-with-the-async-orm")
async def count_with_the_async_orm(step: AsyncStepContext) -> int:
    return await Run.objects.acount()


@job("block-a-thread-of-the-loop")
async def block_a_thread_of_the_loop(step: AsyncStepContext, input: Place) -> None:
    """Cancelling it ends the body, but not its thread."""
    try:
        await asyncio.to_thread(input.notebook.pass_gate, "thread")
    finally:
        input.notebook.write("ended")


@job("one-branch-fails")
async def one_branch_fails(step: AsyncStepContext, input: Place) -> None:
    """`gather` does not cancel the other branch: it outlives the body."""
    await asyncio.gather(step.run("fails", int, "no number"), _go_on(step, input.notebook))


async def _go_on(step: AsyncStepContext, notebook: Notebook) -> None:
    await asyncio.to_thread(notebook.pass_gate, "branch")
    try:
        await step.run("late", notebook.write, "executed")
    except BaseException as error:
        notebook.write("refused", type(error).__name__)


@job("time-out-in-a-commit")
async def time_out_in_a_commit(step: AsyncStepContext, input: Place) -> str:
    """The time is up when the step has executed and its checkpoint is on the way."""
    notebook = input.notebook
    limit = asyncio.timeout(None)

    async def charge() -> str:
        receipt = uuid4().hex
        notebook.write("charged", receipt)
        if not notebook.notes("time is up"):
            limit.reschedule(0)
            asyncio.get_running_loop().call_soon(notebook.write, "time is up")
        return receipt

    await asyncio.to_thread(notebook.pass_gate, "before")
    try:
        async with limit:
            return await step.run("charge", charge)
    except TimeoutError:
        notebook.write("timed out")
    return await step.run("charge", charge)


@job("step-in-a-transaction")
def step_in_a_transaction(step: StepContext, input: Place) -> None:
    with transaction.atomic():
        step.run("inside", input.notebook.write, "executed")


@job("transaction-in-a-step")
def transaction_in_a_step(step: StepContext, input: Place) -> None:
    step.run("around", _write_in_a_transaction, input.notebook)


def _write_in_a_transaction(notebook: Notebook) -> None:
    with transaction.atomic():
        notebook.write("executed")


class Chain(Place):
    left: int
    key: str | None = None


@job("trigger-the-next")
def trigger_the_next(step: StepContext, input: Chain) -> None:
    """So many more runs, each triggered by the last act of the one before."""
    if input.left:
        following = input.model_copy(update={"left": input.left - 1})
        trigger_the_next.trigger(following, concurrency_key=input.key)
