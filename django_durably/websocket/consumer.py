"""The consumer: subscriptions to runs and lists on one connection.

The messages are described in docs/reference/events.md.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, TypeVar

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.exceptions import PermissionDenied, SuspiciousOperation

from django_durably import guard
from django_durably.access import NotAuthenticated, Operation, Policy, default_policy
from django_durably.exceptions import ConflictError, NotFoundError
from django_durably.sse import feeds
from django_durably.sse.feeds import Portion
from django_durably.sse.reader import let_go_of_databases
from django_durably.sse.streams import KEEP_ALIVE, Limits
from django_durably.websocket import handshakes, messages
from django_durably.websocket.messages import Subscribe, Unsubscribe

T = TypeVar("T")

MOST_SUBSCRIPTIONS: Final = 100
"""How many subscriptions one connection may have at once."""
NOT_AUTHENTICATED: Final = 4401
COME_BACK: Final = 4012
"""The connection has lasted or sent enough: the client opens another, and resumes."""

Feed = Callable[[], AsyncGenerator[Portion, None]]


class DurablyConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Events for one page: ``DurablyConsumer.as_asgi(policy=TenantPolicy())``.

    Without a policy it is the one that the settings name.
    """

    # Events come from the relay; a channel layer would only cost a connection.
    channel_layer_alias = None

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__()
        self._policy = policy
        self._feeds: dict[str, asyncio.Task[None]] = {}
        self._ending: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def policy(self) -> Policy:
        return self._policy or default_policy()

    async def connect(self) -> None:
        self._request = handshakes.request_of(self.scope)
        try:
            self._context = await _in_thread(handshakes.admit, self.policy, self._request)
        except (PermissionDenied, SuspiciousOperation):
            await self.close()
        except NotAuthenticated as error:
            # Accepted first: a browser tells its page nothing of a refused handshake.
            await self.accept()
            await self.close(NOT_AUTHENTICATED, str(error))
        else:
            await self.accept()
            self._limits = Limits()
            self._ending = asyncio.create_task(self._end_in_time())

    async def disconnect(self, code: int) -> None:
        self._closed = True
        tasks = [*self._feeds.values(), *([self._ending] if self._ending else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        id_: object = None
        try:
            message = messages.read(text_data)
            id_ = message.get("id")
            asked = messages.understand(message)
            if isinstance(asked, Unsubscribe):
                await self._unsubscribe(asked)
            else:
                await self._subscribe(asked)
        except Exception as error:
            await self._refuse(id_, error)

    async def _subscribe(self, asked: Subscribe) -> None:
        if asked.id in self._feeds:
            raise ConflictError(f"There is a subscription {asked.id!r} already")
        if len(self._feeds) >= MOST_SUBSCRIPTIONS:
            raise ConflictError(f"There are {MOST_SUBSCRIPTIONS} subscriptions already")
        feed = await _in_thread(self._feed, asked)
        self._feeds[asked.id] = asyncio.create_task(self._carry(asked, feed))

    def _feed(self, asked: Subscribe) -> Feed:
        """What the policy allows of what is asked for. Reads the database."""
        if asked.run_id is None:
            allowed = guard.scope_events(self.policy, self._context, asked.filter)
            return lambda: feeds.of_runs(allowed, asked.cursor, _patience)
        run = guard.find_run(self.policy, self._context, asked.run_id, Operation.SUBSCRIBE)
        if run.is_terminal:
            portion = feeds.of_finished_run(run.pk, asked.cursor)
            return lambda: _only(portion)
        return lambda: feeds.of_run(run.pk, asked.cursor, _patience)

    async def _unsubscribe(self, asked: Unsubscribe) -> None:
        task = self._feeds.pop(asked.id, None)
        if task is None:
            raise NotFoundError(f"There is no subscription {asked.id!r}")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._tell(messages.unsubscribed(asked.id))

    async def _carry(self, asked: Subscribe, feed: Feed) -> None:
        """Send one subscription's portions until it ends, is cancelled, or the server stops."""
        try:
            async with aclosing(feed()) as portions:
                async for portion in portions:
                    if portion.ends:
                        # Before the client learns of it: it may use the id again at once.
                        self._feeds.pop(asked.id, None)
                    for text in messages.answers(asked.id, portion, asked.brief):
                        await self._tell(text)
                    if portion.ends:
                        return
            await self._send_away()
        except Exception as error:
            self._feeds.pop(asked.id, None)
            await self._refuse(asked.id, error)

    async def _tell(self, text: str) -> None:
        if self._closed:
            return
        await self.send(text)
        self._limits.count(text)
        if self._limits.bytes_left <= 0:
            await self._send_away()

    async def _send_away(self) -> None:
        if not self._closed:
            self._closed = True
            await self.close(COME_BACK)

    async def _end_in_time(self) -> None:
        try:
            async with asyncio.timeout_at(self._limits.ends_at):
                await asyncio.Event().wait()
        except TimeoutError:
            await self._send_away()

    async def _refuse(self, id: object, error: Exception) -> None:
        answer = guard.answer_error(error, self._request)
        text = json.loads(answer.content)["error"]
        await self._tell(messages.error(id, answer.status_code, text))


def _patience() -> float:
    return KEEP_ALIVE


async def _only(portion: Portion) -> AsyncGenerator[Portion, None]:
    yield portion


async def _in_thread(function: Callable[..., T], *args: Any) -> T:
    """What a function returns that may use the database, which is let go of afterwards."""

    def call() -> T:
        try:
            return function(*args)
        finally:
            let_go_of_databases()

    return await sync_to_async(call, thread_sensitive=True)()
