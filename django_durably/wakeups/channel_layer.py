"""Waking through a Channels layer, for MariaDB, or for many hosts around one Redis.

One group per topic. The layer is an instance of its own, on an event loop in a thread of its own:
a Redis layer refuses to receive on two loops at once, and the site's may be in use. Callers only
hand over what to send, so `publish` works in any thread, with or without a running loop.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from threading import Thread
from typing import Any, Final

from django_durably.wakeups.carriers import CarriedWakeups, Carrier, join
from django_durably.wakeups.coalescing import Outbox
from django_durably.wakeups.healing import Backoff
from django_durably.wakeups.protocol import logger
from django_durably.wakeups.subscribers import Subscribers

GROUP_PREFIX: Final = "durably."
HINT: Final = "durably.hint"
PROBE: Final = "durably.probe"
PROBE_SECONDS: Final = 2.0
"""How often a listener sends itself a message, to see whether its groups still know it.

Shorter than the 5 s after which redis-py 8 takes a blocking read for a dead connection.
"""
GOODBYE_SECONDS: Final = 1.0
INSIST_SECONDS: Final = 0.05


class ChannelLayerWakeups(CarriedWakeups):
    """Publishes to the groups of the layer that `CHANNEL_LAYERS` calls `alias`."""

    def __init__(self, alias: str) -> None:
        super().__init__()
        self._alias = alias

    def _publish(self, topics: frozenset[str]) -> None:
        if self._outbox.hold(topics):
            self._wake_carrier()

    def _start_carrier(self) -> Carrier:
        return _LoopThread(_make_layer(self._alias), self._subscribers, self._outbox)


class _LoopThread:
    """The carrier: an event loop that sends, and receives while somebody listens."""

    def __init__(self, layer: Any, subscribers: Subscribers, outbox: Outbox) -> None:
        self._layer = layer
        self._subscribers = subscribers
        self._outbox = outbox
        self._to_send = asyncio.Event()
        self._to_join = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loop = _Loop()
        self._thread = Thread(target=self._run, name="durably-channel-wakeups", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._loop.call_soon_threadsafe(self._look_around)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        join(self._thread)

    def _look_around(self) -> None:
        self._to_send.set()
        self._to_join.set()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._carry())

    async def _carry(self) -> None:
        tasks = [
            asyncio.create_task(_healing("sending wake-ups to the channel layer", self._send)),
            asyncio.create_task(_healing("the channel layer for wake-ups", self._listen)),
        ]
        await self._stopping.wait()
        # More patient than the tasks are with their own, so as not to disturb them at it.
        await _end(tasks, insisting_every=5 * INSIST_SECONDS)
        await self._send_last()

    async def _send(self, backoff: Backoff) -> None:
        """Sends whatever comes into the outbox, until that fails."""
        while True:
            self._to_send.clear()
            while (due_in := self._outbox.due_in()) is not None:
                await asyncio.sleep(due_in)
                await self._send_all()
                backoff.succeeded()
            await self._to_send.wait()

    async def _send_all(self) -> None:
        topics = self._outbox.take()
        try:
            for topic in topics:
                await self._layer.group_send(_group(topic), {"type": HINT, "topic": topic})
        except BaseException:
            self._outbox.hold(topics)
            raise

    async def _send_last(self) -> None:
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._send_all()
        except Exception as error:
            lost = self._outbox.take()
            logger.warning("wake-ups for %s are lost: %s", ", ".join(sorted(lost)), error)

    async def _listen(self, backoff: Backoff) -> None:
        """Waits for a subscriber, then stays in the groups until something fails."""
        while not self._subscribers:
            self._to_join.clear()
            await self._to_join.wait()
        await _Membership(self._layer, self._subscribers, self._to_join).keep(backoff)


class _Loop(asyncio.SelectorEventLoop):
    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        """Looks names up right here: a process that is about to end has no executor any more."""
        return socket.getaddrinfo(*args, **kwargs)


class _Membership:
    """One stay in the groups of the layer, under a channel name of its own."""

    def __init__(self, layer: Any, subscribers: Subscribers, to_join: asyncio.Event) -> None:
        self._layer = layer
        self._subscribers = subscribers
        self._to_join = to_join
        self._joined: frozenset[str] = frozenset()
        self._channel = ""
        self._own_group = f"{GROUP_PREFIX}{uuid.uuid4().hex}"
        self._echo = asyncio.Event()

    async def keep(self, backoff: Backoff) -> None:
        """Receives until something fails. Raises what failed."""
        self._channel = await self._layer.new_channel()
        try:
            await self._join(self._subscribers.topics)
            await self._layer.group_add(self._own_group, self._channel)
            backoff.succeeded()
            self._subscribers.greet(self._joined, again=True)
            await _first_to_fail(self._receive(), self._greet(), self._probe())
        finally:
            await self._leave()

    async def _join(self, topics: frozenset[str]) -> None:
        for topic in topics:
            await self._layer.group_add(_group(topic), self._channel)
        self._joined |= topics

    async def _leave(self) -> None:
        with suppress(Exception):
            async with asyncio.timeout(GOODBYE_SECONDS):
                for group in (self._own_group, *map(_group, self._joined)):
                    await self._layer.group_discard(group, self._channel)

    async def _receive(self) -> None:
        while True:
            message = await self._layer.receive(self._channel)
            if message["type"] == HINT:
                self._subscribers.deliver(frozenset({message["topic"]}))
            else:
                self._echo.set()

    async def _greet(self) -> None:
        """Brings new subscribers into the groups that they want."""
        while True:
            self._to_join.clear()
            await self._join(self._subscribers.topics - self._joined)
            self._subscribers.greet(self._joined)
            await self._to_join.wait()

    async def _probe(self) -> None:
        """Raises TimeoutError when the layer no longer sends here what goes to our group.

        A Redis that restarts empty has forgotten its groups, and its client reconnects without
        telling anybody.
        """
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            self._echo.clear()
            await self._layer.group_send(self._own_group, {"type": PROBE})
            async with asyncio.timeout(PROBE_SECONDS):
                await self._echo.wait()


async def _healing(what: str, work: Callable[[Backoff], Coroutine[Any, Any, None]]) -> None:
    """Does `work` again and again, whatever it raises."""
    backoff = Backoff(what)
    while True:
        try:
            await work(backoff)
        except Exception as error:
            await asyncio.sleep(backoff.failed(error))


async def _first_to_fail(*work: Coroutine[Any, Any, None]) -> None:
    """Runs all of them until one fails; cancels the others and raises that failure."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        await _end(tasks)


async def _end(
    tasks: Collection[asyncio.Task[None]], insisting_every: float = INSIST_SECONDS
) -> None:
    """Cancels until it is so: a Redis layer swallows a cancellation now and then."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=insisting_every)


def _group(topic: str) -> str:
    return f"{GROUP_PREFIX}{topic}"


def _make_layer(alias: str) -> Any:
    from channels.layers import channel_layers

    return channel_layers.make_backend(alias)
