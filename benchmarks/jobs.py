"""What the workers execute: nothing, in several ways."""

import os
import time

from pydantic import BaseModel

from django_durably import AsyncStepContext, StepContext, job

MARKS = "DURABLY_BENCHMARK_MARKS"
"""The environment variable that names the file of marks."""

STEPS = 10


class Number(BaseModel):
    i: int


@job("empty")
def empty(step: StepContext, input: Number) -> None:
    pass


@job("empty-async")
async def empty_async(step: AsyncStepContext, input: Number) -> None:
    pass


@job("steps")
def steps(step: StepContext, input: Number) -> None:
    for number in range(STEPS):
        step.run(f"step-{number}", int, number)


@job("mark")
def mark(step: StepContext, input: Number) -> None:
    at = time.monotonic_ns()
    append_mark(input.i, at)


def append_mark(number: int, at: int) -> None:
    """One line of the file of marks: a number and a time of the monotonic clock, in ns."""
    descriptor = os.open(os.environ[MARKS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"%d %d\n" % (number, at))
    os.close(descriptor)
