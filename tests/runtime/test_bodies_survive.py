"""Threads are used again: what went wrong after one body, or was left by it, is not the next's."""

import threading
from contextvars import ContextVar

import pytest
from django.utils import translation

from django_durably.runtime import connections
from django_durably.runtime.bodies import Threads
from tests.support.waiting import eventually

variable: ContextVar[str | None] = ContextVar("variable", default=None)


@pytest.mark.parametrize("breaks_at", [1, 2, 3, 4])
def test_connections_that_cannot_be_cleaned_up_cost_no_body(
    breaks_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, executed = Threads(1, "test"), []
    heals: list[None] = []

    def heal() -> None:
        heals.append(None)
        if len(heals) == breaks_at:
            raise RuntimeError("the connection could not be closed")

    monkeypatch.setattr(connections, "heal", heal)
    for number in range(4):
        threads.run(lambda number=number: executed.append(number))  # type: ignore[misc]
        eventually(lambda: executed == list(range(number + 1)), 10)  # noqa: B023  called at once
    assert len(heals) >= breaks_at, "nothing broke"


def test_context_variables_of_a_body_are_not_seen_by_the_next() -> None:
    threads = Threads(1, "test")
    seen: list[tuple[int, str | None, str | None]] = []

    def work() -> None:
        seen.append((threading.get_ident(), variable.get(), translation.get_language()))
        variable.set("mine")
        translation.activate("de")

    for _ in range(3):
        threads.run(work)
    eventually(lambda: len(seen) == 3)
    assert len({thread for thread, _, _ in seen}) == 1
    assert {(value, language) for _, value, language in seen} == {(None, "en-us")}


def test_a_thread_that_may_be_added_takes_the_work_that_waits() -> None:
    threads, blocked, done = Threads(1, "grown"), threading.Event(), threading.Event()
    threads.run(lambda: blocked.wait(30))
    threads.run(done.set)
    threads.grow()
    assert done.wait(10)
    blocked.set()
    threads.close()


def test_a_thread_that_goes_from_work_to_work_does_not_count_as_free() -> None:
    threads, first, blocked, done = (
        Threads(1, "busy"),
        threading.Event(),
        threading.Event(),
        threading.Event(),
    )
    threads.run(lambda: first.wait(30))
    threads.run(lambda: blocked.wait(30))  # taken by the same thread as soon as it is free
    first.set()
    eventually(lambda: threads._waiting == 0)
    threads.grow()
    threads.run(done.set)
    assert done.wait(10)
    blocked.set()
    threads.close()
