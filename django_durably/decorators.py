"""`@job`, and the handle that it leaves in the place of the function.

Importing this loads no models, so that a `models.py` may use it: a handle imports what touches
the database when it is first asked to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NoReturn,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured

from django_durably.jobs import registry
from django_durably.jobs.annotations import names_in
from django_durably.jobs.definition import Definition

if TYPE_CHECKING:
    from django_durably.models import Run
    from django_durably.operations.triggers import TriggerRequest

TInput = TypeVar("TInput")
TOutput = TypeVar("TOutput")

Body: TypeAlias = Callable[[Any, TInput], TOutput]
AsyncBody: TypeAlias = Callable[[Any, TInput], Coroutine[Any, Any, TOutput]]
BareBody: TypeAlias = Callable[[Any], TOutput]
AsyncBareBody: TypeAlias = Callable[[Any], Coroutine[Any, Any, TOutput]]


class TriggerOptions(TypedDict, total=False):
    """What may be said about a run beside its input."""

    idempotency_key: str | None
    """A second trigger of the job with this key answers with the first one's run."""
    concurrency_key: str | None
    """At most one run with this key executes at a time, and one per job waits."""
    coalesce: str | None
    """`"skip"`: answer with the waiting run of the concurrency key, instead of ConflictError."""
    labels: dict[str, str] | None
    """Texts by which the run is found."""


@dataclass(frozen=True, slots=True)
class BatchItem(Generic[TInput]):
    """One run for `batch_trigger`, with options of its own. Made by `Job.item`."""

    input: TInput | Mapping[str, Any] | None
    options: TriggerOptions


@dataclass(frozen=True, slots=True)
class Result(Generic[TOutput]):
    """A completed run, as `trigger_and_wait` gives it. `output` is of the job's output type."""

    id: UUID
    output: TOutput
    disposition: str


class Job(Generic[TInput, TOutput]):
    """A job that can be triggered. Calls that touch the database have an `a…` twin.

    `func` is the function itself, for unit tests: `my_job.func(step, input)`.
    """

    def __init__(self, definition: Definition) -> None:
        update_wrapper(self, definition.func)
        self.definition = definition

    @property
    def name(self) -> str:
        """The job's name, unique across the project."""
        return self.definition.name

    @property
    def func(self) -> Callable[..., Any]:
        """The function that was decorated."""
        return self.definition.func

    def __repr__(self) -> str:
        return f"<Job {self.name!r}>"

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        handle = self.func.__name__
        message = f"The job {self.name!r} cannot be called: {handle}.trigger(...) makes a run of it"
        raise TypeError(f"{message}, {handle}.func(step, ...) calls its function.")

    def trigger(
        self, input: TInput | Mapping[str, Any] | None = None, **options: Unpack[TriggerOptions]
    ) -> Run:
        """Ask for a run, in the caller's transaction; `disposition` on it says how it was got.

        `input` is an object of the job's input type or its JSON form; validated either way.
        Raises ValidationError, naming what is wrong, and ConflictError when a waiting run of this
        job holds the concurrency key.
        """
        from django_durably.operations import triggers

        return triggers.trigger(self._request(input, options))

    def trigger_and_wait(
        self,
        input: TInput | Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        **options: Unpack[TriggerOptions],
    ) -> Result[TOutput]:
        """Trigger, and wait until the run is completed, at most `timeout` seconds (None: no limit).

        A worker must be able to see the run: not for use inside a transaction. Raises what
        `trigger` raises, and RunFailed, RunCancelled, WaitTimeout or NotFoundError.
        """
        from django_durably.operations import waiting

        run = self.trigger(input, **options)
        return self._result(run, waiting.wait(run, timeout))

    def batch_trigger(
        self, items: Iterable[TInput | Mapping[str, Any] | BatchItem[TInput] | None]
    ) -> list[Run]:
        """Ask for many runs at once: inputs, or what `item` makes. All are created, or none.

        Validates all of them first. Raises what `trigger` raises.
        """
        from django_durably.operations import triggers

        return triggers.trigger_many([self._request_of(item) for item in items])

    def item(
        self, input: TInput | Mapping[str, Any] | None = None, **options: Unpack[TriggerOptions]
    ) -> BatchItem[TInput]:
        """An input with options of its own, for `batch_trigger`."""
        return BatchItem(input, options)

    async def atrigger(
        self, input: TInput | Mapping[str, Any] | None = None, **options: Unpack[TriggerOptions]
    ) -> Run:
        """`trigger` for async code."""
        return await sync_to_async(self.trigger, thread_sensitive=True)(input, **options)

    async def atrigger_and_wait(
        self,
        input: TInput | Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        **options: Unpack[TriggerOptions],
    ) -> Result[TOutput]:
        """`trigger_and_wait` for async code."""
        from django_durably.operations import waiting

        run = await self.atrigger(input, **options)
        return self._result(run, await waiting.await_result(run, timeout))

    async def abatch_trigger(
        self, items: Iterable[TInput | Mapping[str, Any] | BatchItem[TInput] | None]
    ) -> list[Run]:
        """`batch_trigger` for async code."""
        return await sync_to_async(self.batch_trigger, thread_sensitive=True)(items)

    def _request(self, input: object, options: TriggerOptions) -> TriggerRequest:
        from django_durably.operations import triggers

        return triggers.make_request(self.definition, input, **options)

    def _request_of(self, item: object) -> TriggerRequest:
        if isinstance(item, BatchItem):
            return self._request(item.input, item.options)
        return self._request(item, {})

    def _result(self, triggered: Run, completed: Run) -> Result[TOutput]:
        output = self.definition.output.validate(completed.output)
        return Result(completed.pk, output, triggered.disposition)


class Decorator(Protocol):
    """What `@job("name")` is: it turns a function into a `Job`."""

    @overload
    def __call__(self, func: AsyncBody[TInput, TOutput], /) -> Job[TInput, TOutput]: ...
    @overload
    def __call__(self, func: Body[TInput, TOutput], /) -> Job[TInput, TOutput]: ...
    @overload
    def __call__(self, func: AsyncBareBody[TOutput], /) -> Job[None, TOutput]: ...
    @overload
    def __call__(self, func: BareBody[TOutput], /) -> Job[None, TOutput]: ...


@overload
def job(func: AsyncBody[TInput, TOutput], /) -> Job[TInput, TOutput]: ...
@overload
def job(func: Body[TInput, TOutput], /) -> Job[TInput, TOutput]: ...
@overload
def job(func: AsyncBareBody[TOutput], /) -> Job[None, TOutput]: ...
@overload
def job(func: BareBody[TOutput], /) -> Job[None, TOutput]: ...
@overload
def job(name: str | None = None, /) -> Decorator: ...
@overload
def job(*, name: str | None = None) -> Decorator: ...
def job(func_or_name: Any = None, /, *, name: str | None = None) -> Any:
    """Make a job of a function `(step)` or `(step, input)`, plain or `async`.

    Used as `@job`, which takes the function's name, or as `@job("name")`. The annotations of the
    input and of the result are the schemas. Raises ImproperlyConfigured when the function cannot
    be a job, or another one has its name.
    """
    if callable(func_or_name):
        return _make_job(func_or_name, name, _locals_of_caller(func_or_name))
    chosen = name if func_or_name is None else func_or_name
    return lambda func: _make_job(func, chosen, _locals_of_caller(func))


def get_job(name: str) -> Job[Any, Any]:
    """The job of this name, from anywhere in the project. Raises NotFoundError."""
    definition = registry.get(name)
    handle = _handles.get(name)
    if handle is None or handle.definition is not definition:
        handle = _handles[name] = Job(definition)
    return handle


_handles: dict[str, Job[Any, Any]] = {}


def _make_job(func: Any, name: str | None, namespace: Mapping[str, Any]) -> Job[Any, Any]:
    if isinstance(func, Job):
        raise ImproperlyConfigured(f"{func!r} is a job already.")
    definition = Definition.from_function(func, name, namespace)
    registry.register(definition)
    return get_job(definition.name)


def _locals_of_caller(func: Any) -> dict[str, Any]:
    """What the textual annotations of a function inside a function may name around it."""
    if "<locals>" not in getattr(func, "__qualname__", ""):
        return {}
    annotations = getattr(func, "__annotations__", {}).values()
    mentioned = set[str]().union(*map(names_in, annotations))
    around = sys._getframe(2).f_locals
    return {name: around[name] for name in mentioned if name in around}
