"""Waiting for something to become true: the only way in which a test may wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from inspect import isawaitable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE = 0.002
LONGEST_PAUSE = 0.05


def eventually(predicate: Callable[[], T], timeout: float = 10, message: str = "") -> T:
    """Asks until the answer is truthy, and returns it.

    Fails the test after `timeout` seconds, with `message` and the last answer.
    """
    for pause in _pauses(timeout):
        if answer := predicate():
            return answer
        time.sleep(pause)
    return _last(predicate(), timeout, message)


async def aeventually(
    predicate: Callable[[], T | Awaitable[T]], timeout: float = 10, message: str = ""
) -> T:
    """`eventually` inside an event loop; the predicate may be async."""
    for pause in _pauses(timeout):
        if answer := await _asked(predicate):
            return answer
        await asyncio.sleep(pause)
    return _last(await _asked(predicate), timeout, message)


def _pauses(timeout: float) -> Iterator[float]:
    """Short pauses first, then longer ones, until the time is over."""
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while (left := deadline - time.monotonic()) > 0:
        yield min(pause, left)
        pause = min(pause * 1.5, LONGEST_PAUSE)


async def _asked(predicate: Callable[[], T | Awaitable[T]]) -> T:
    answer = predicate()
    return await answer if isawaitable(answer) else answer


def _last(answer: T, timeout: float, message: str) -> T:
    assert answer, f"{message or 'not so'} after {timeout} s; the last answer was {answer!r}"
    return answer
