"""Threads and the event loop that execute bodies."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from django_durably.runtime.bodies import EventLoop, Threads
from tests.support.waiting import eventually

variable: ContextVar[str] = ContextVar("variable")


def test_threads_are_started_as_they_are_needed_and_used_again() -> None:
    threads, seen, gate = Threads(2, "test"), [], threading.Event()

    def work() -> None:
        seen.append(threading.current_thread())
        gate.wait(10)

    for _ in range(4):
        threads.run(work)
    eventually(lambda: len(seen) == 2)
    gate.set()
    eventually(lambda: len(seen) == 4)
    assert len(set(seen)) == 2
    assert all(thread.daemon for thread in seen), "a blocked body must not keep the process"


def test_a_plain_function_of_an_async_body_gets_the_context_and_gives_its_result() -> None:
    answers: list[object] = []

    async def body() -> None:
        variable.set("mine")
        answers.append(await loop.in_thread(variable.get))
        answers.append(await loop.in_thread(threading.current_thread))

    loop = EventLoop(1)
    loop.run(body(), lambda cancel: None)
    eventually(lambda: len(answers) == 2)
    assert answers[0] == "mine"
    assert answers[1] is not threading.main_thread()


@pytest.mark.parametrize("error", [ValueError("x"), StopIteration("x"), SystemExit(1)])
def test_every_error_of_a_plain_function_reaches_the_body(error: BaseException) -> None:
    answers: list[BaseException] = []

    def fail() -> None:
        raise error

    async def body() -> None:
        try:
            await loop.in_thread(fail)
        except BaseException as caught:
            answers.append(caught)

    loop = EventLoop(1)
    loop.run(body(), lambda cancel: None)
    eventually(lambda: answers)
    # Python itself makes this of a StopIteration that leaves a coroutine.
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    assert isinstance(answers[0], expected)


def test_a_body_can_be_cancelled_while_its_function_blocks() -> None:
    gate = threading.Event()
    answers: list[str] = []
    cancels: list[Callable[[], object]] = []

    async def body() -> None:
        try:
            await loop.in_thread(lambda: gate.wait(10))
        except asyncio.CancelledError:
            answers.append("cancelled")

    loop = EventLoop(1)
    loop.run(body(), cancels.append)
    eventually(lambda: cancels)
    cancels[0]()
    eventually(lambda: answers == ["cancelled"])
    gate.set()
