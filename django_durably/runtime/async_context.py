"""What an ``async def`` body is given: ``step``."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar, overload

from django_durably.exceptions import RunInterrupted
from django_durably.runtime.checkpointing import Begun, Replayed, current_step
from django_durably.runtime.context import BaseContext, Journal
from django_durably.runtime.interruption import Signal
from django_durably.storage.changes import Change, Claimed

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncSignal:
    """``step.signal`` of an async body: ``wait`` is awaited."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal

    @property
    def reason(self) -> str | None:
        return self._signal.reason

    @property
    def aborted(self) -> bool:
        return self._signal.aborted

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until there is a ``reason``, at most so long; True when there is one."""
        loop, raised = asyncio.get_running_loop(), asyncio.Event()
        forget = self._signal.notify(lambda: loop.call_soon_threadsafe(raised.set))
        try:
            await asyncio.wait_for(raised.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            forget()
        return self.reason is not None


class AsyncStepContext(BaseContext):
    """The context of an ``async def`` body: its calls are awaited."""

    def __init__(self, run: Claimed, journal: Journal, in_thread: InThread) -> None:
        super().__init__(run, journal)
        self._in_thread = in_thread

    @property
    def signal(self) -> AsyncSignal:
        """Tells a long step that it should stop, and why."""
        return AsyncSignal(self._signal)

    @overload
    async def run(
        self, name: str, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def run(
        self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    async def run(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Execute ``function`` once for this run, and return its result.

        An async function is awaited, a plain one runs in a thread. When the run goes on after a
        crash, the stored result is returned and the function is not called again. Names are unique
        within a run. Raises what the function raises, and ValidationError when JSON cannot hold
        the result.
        """
        begun = self._begin(name, function)
        if isinstance(begun, Replayed):
            return begun.value
        token = current_step.set(name)
        try:
            value = await self._call(partial(function, *args, **kwargs))
            change, result = self.steps.completion(begun, function, value)
            await self._commit(begun, change, result)
        except RunInterrupted as error:
            self._note_if_cancelled(begun, error)
            raise
        except asyncio.CancelledError:
            self._translate_cancellation(begun)
            raise
        except Exception as error:
            await self._store_failure(begun, error)
            raise
        finally:
            current_step.reset(token)
        return result

    async def _commit(self, begun: Begun, change: Change, result: Any) -> None:
        """Store the checkpoint. A time limit of the body that passes meanwhile cannot undo it:
        the step counts as done before the body goes on, or it would execute again."""
        stored = asyncio.ensure_future(self._journal.astore(change))
        try:
            await asyncio.shield(stored)
        except asyncio.CancelledError:
            stored.add_done_callback(_look_at_error)
            if not self._signal.aborted:
                await asyncio.wait([stored])
                if stored.exception() is None:
                    self.steps.succeeded(begun, result)
            raise
        self.steps.succeeded(begun, result)

    async def _store_failure(self, begun: Begun, error: Exception) -> None:
        try:
            await self._journal.astore(self.steps.failure(begun, error))
        except RunInterrupted as interruption:
            self._note_if_cancelled(begun, interruption)
            raise

    def _translate_cancellation(self, begun: Begun) -> None:
        """An aborted run cancels its task: say so in this package's own words."""
        error = self._signal.error()
        if self._signal.aborted and error is not None:
            self._note_if_cancelled(begun, error)
            raise error

    async def _call(self, function: partial[Any]) -> Any:
        if inspect.iscoroutinefunction(function.func):
            return await function()
        value = await self._in_thread(function)
        return await value if inspect.isawaitable(value) else value


def _look_at_error(stored: asyncio.Future[None]) -> None:
    """So that asyncio does not complain of an error that nobody asked for."""
    if not stored.cancelled():
        stored.exception()
