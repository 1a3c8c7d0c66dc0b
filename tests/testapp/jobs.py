"""A few jobs for tests; autodiscovery imports them."""

from django_durably import AsyncStepContext, StepContext, job
from tests.testapp import body_jobs, process_jobs  # noqa: F401  their jobs are found here


@job("echo")
def echo(step: StepContext, input: dict[str, object]) -> dict[str, object]:
    return input


@job("add-in-steps")
def add_in_steps(step: StepContext, input: list[int]) -> int:
    total = 0
    for index, number in enumerate(input):
        total = step.run(f"add-{index}", int.__add__, total, number)
    return total


@job("add-in-async-steps")
async def add_in_async_steps(step: AsyncStepContext, input: list[int]) -> int:
    total = 0
    for index, number in enumerate(input):
        total = await step.run(f"add-{index}", int.__add__, total, number)
    return total


@job("fail")
def fail(step: StepContext, input: str) -> None:
    raise RuntimeError(input)
