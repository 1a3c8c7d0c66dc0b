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
