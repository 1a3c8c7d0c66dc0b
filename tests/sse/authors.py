"""Runs that a test writes itself: each call records events and hints at them, as a worker does."""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections

from django_durably import wakeups
from django_durably.models import Event, Run
from django_durably.runtime import execution
from django_durably.runtime.context import StepContext
from django_durably.runtime.inline_journal import InlineJournal
from django_durably.storage import claims
from tests.testapp.jobs import echo

P = ParamSpec("P")
T = TypeVar("T")


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """An async test; what it calls `in_thread` uses the test's own connection."""

    @functools.wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        async_to_sync(test)(*args, **kwargs)

    return wrapper


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await sync_to_async(function, thread_sensitive=True)(*args, **kwargs)


class Author:
    """Executes one run, act by act."""

    def __init__(self, input: Any = None, **options: Any) -> None:
        self.run: Run = echo.trigger(input or {}, **options)

    @property
    def id(self) -> str:
        return str(self.run.pk)

    def lease(self) -> "Author":
        claimed = claims.claim_one(self.run.pk, "author")
        assert claimed is not None
        self._claimed = claimed
        self._journal = InlineJournal()
        context = execution.make_context(claimed, self._journal, None)  # type: ignore[arg-type]
        assert isinstance(context, StepContext)
        self.step = context
        hint()
        return self

    def progress(self, *numbers: int, total: int | None = None) -> "Author":
        """Each number in a transaction of its own."""
        for number in numbers:
            self.step.progress(number, total)
            self.flush()
        return self

    def log(self, message: str, data: Any = None) -> "Author":
        self.step.log.info(message, data)
        return self.flush()

    def flush(self) -> "Author":
        self._journal.flush()
        hint()
        return self

    def complete(self, output: Any = None) -> "Author":
        definition = echo.definition
        text = definition.output.dump(output or {})
        ended = execution.Ended(execution.Completed(text), 1)
        execution.settle(self._claimed, ended, self._journal, self._journal.flush)
        hint()
        return self

    def fail(self, error: str, step: str | None = None) -> "Author":
        """Fail, by this step or outside of any."""

        def raise_it() -> None:
            raise RuntimeError(error)

        if step is not None:
            with suppress(RuntimeError):
                self.step.run(step, raise_it)
        ended = execution.Ended(execution.Failed(error, step=step or "unknown"), 1)
        execution.settle(self._claimed, ended, self._journal, self._journal.flush)
        hint()
        return self


def hint() -> None:
    wakeups.get_wakeups().publish(wakeups.EVENTS)


class LateEvent:
    """An event in a transaction of its own connection that is open until `commit`."""

    def __init__(self, run: Run, type_: str, payload: str = "{}") -> None:
        self._connection = connections["default"].copy()
        self._connection.set_autocommit(False)
        with self._connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO durably_event (run_id, job_name, type, payload, labels, created_at) "
                "SELECT id, job_name, %s, %s, labels, created_at FROM durably_run WHERE id = %s "
                "RETURNING id"
                if self._connection.vendor != "mysql"
                else "INSERT INTO durably_event "
                "(run_id, job_name, type, payload, labels, created_at) "
                "SELECT id, job_name, %s, %s, labels, created_at FROM durably_run WHERE id = %s",
                [type_, payload, run.pk if self._connection.vendor == "postgresql" else run.pk.hex],
            )
            self.id: int = (
                cursor.lastrowid if self._connection.vendor == "mysql" else cursor.fetchone()[0]
            )

    def commit(self) -> None:
        self._connection.commit()
        self.close()
        hint()

    def close(self) -> None:
        """Roll back what was not committed."""
        self._connection.close()


@contextmanager
def late_event(run: Run, type_: str, payload: str = "{}") -> Iterator[LateEvent]:
    event = LateEvent(run, type_, payload)
    try:
        yield event
    finally:
        event.close()


@asynccontextmanager
async def late_event_in_thread(
    run: Run, type_: str, payload: str = "{}"
) -> AsyncIterator[LateEvent]:
    event = await in_thread(LateEvent, run, type_, payload)
    try:
        yield event
    finally:
        await in_thread(event.close)


def newest_event() -> int:
    """The id of the newest event that is committed."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first()
    return newest or 0
