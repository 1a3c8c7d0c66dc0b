"""Event streams as text: the present state first, then what happens, until the stream ends.

A stream ends after its run's terminal event, and after it has lasted or sent enough: a server that
buffers without limit must not be filled by a client that does not read. The client comes back with
the id of the last event that it got, and goes on from there.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from typing import Final
from uuid import UUID

from django_durably.conf import get_settings
from django_durably.sse.channels import Channel, ListChannel, RunChannel
from django_durably.sse.envelopes import Envelope, frame, seal
from django_durably.sse.storage import EventLog
from django_durably.sse.subscriptions import Delivery, Stopped, Subscription
from django_durably.storage import events, present
from django_durably.storage.cursors import Cursor
from django_durably.storage.present import Present
from django_durably.storage.queries import RunFilter

KEEP_ALIVE: Final = 20.0
"""Seconds of silence after which something is sent, for proxies that cut what is silent."""
STAY_AWAY: Final = "retry: 86400000\n\n"
"""Tells an `EventSource`, which reconnects whenever a stream ends, to wait for a day."""
_PAGE: Final = 500


class _Limits:
    """For how long, and how much, one stream may send."""

    def __init__(self) -> None:
        settings = get_settings()
        # Clients that came at the same moment must not come back at the same moment.
        lasts = settings.stream_duration.total_seconds() * random.uniform(0.9, 1)
        self._clock = asyncio.get_running_loop().time
        self._ends_at = self._clock() + lasts
        self.bytes_left = settings.stream_max_bytes
        self._silent_since = self._clock()

    @property
    def reached(self) -> bool:
        return self.bytes_left <= 0 or self._clock() >= self._ends_at

    def patience(self) -> float:
        """Seconds until something has to be done even if nothing happens."""
        return min(self._silent_since + KEEP_ALIVE, self._ends_at) - self._clock()

    def is_silent(self) -> bool:
        return self._clock() >= self._silent_since + KEEP_ALIVE

    def count(self, text: str) -> bytes:
        sent = text.encode()
        self.bytes_left -= len(sent)
        self._silent_since = self._clock()
        return sent


async def of_run(run_id: UUID, cursor: Cursor | None) -> AsyncIterator[bytes]:
    """The stream of an active run, resumed after this cursor if that can be served."""
    limits = _Limits()
    async with Subscription(RunChannel(run_id)) as subscription:
        if cursor is not None and await subscription.resume(cursor):
            yield limits.count(_opening(None))
        else:
            state = await subscription.read(present.of_run, run_id)
            yield limits.count(_state(state, subscription))
            if state is None or state.run.is_terminal:
                return
        async for sent in _follow(subscription, limits):
            yield sent


def _state(state: Present | None, subscription: Subscription) -> str:
    if state is None:
        return STAY_AWAY
    subscription.skip(Cursor(state.event_id))
    return _opening(subscription.cursor) + told(state, subscription.cursor)


async def of_runs(filter: RunFilter, cursor: Cursor | None) -> AsyncIterator[bytes]:
    """The stream of all runs that the filter matches."""
    limits = _Limits()
    async with Subscription(ListChannel(filter)) as subscription:
        resumed = cursor is not None and await subscription.resume(cursor)
        yield limits.count(_opening(None if resumed else subscription.cursor))
        async for sent in _follow(subscription, limits):
            yield sent


async def _follow(subscription: Subscription, limits: _Limits) -> AsyncIterator[bytes]:
    channel = subscription.channel
    while not limits.reached:
        try:
            deliveries = await subscription.next(limits.patience())
        except Stopped:
            return
        if deliveries:
            text, ended = _frames(channel, deliveries, limits.bytes_left)
            yield limits.count(text)
            if ended:
                return
        elif limits.is_silent():
            subscription.move_on()
            yield limits.count(_keep_alive(subscription.cursor))


def _frames(
    channel: Channel, deliveries: Iterable[Delivery], most: int | None = None
) -> tuple[str, bool]:
    """The text of these events, hardly longer than ``most``, and whether the stream ends there."""
    texts, length = [], 0
    for event, cursor in deliveries:
        ends = event.is_terminal and isinstance(channel, RunChannel)
        texts.append(_ending(event, cursor) if ends else event.frame(channel.brief, cursor))
        length += len(texts[-1])
        if ends or (most is not None and length >= most):
            return "".join(texts), True
    return "".join(texts), False


def of_finished_run(run_id: UUID, cursor: Cursor | None) -> str:
    """The whole stream of a terminal run: what was missed, else the terminal event, and the end.

    It reads the database.
    """
    state = present.of_run(run_id)
    if state is None:
        return STAY_AWAY
    if cursor is None or not events.can_resume(cursor):
        return _opening(None) + told(state, Cursor(state.event_id))
    if cursor.has_seen(state.events[0].id):
        return STAY_AWAY
    return _opening(None) + _missed(RunChannel(run_id), cursor)


def _missed(channel: RunChannel, cursor: Cursor) -> str:
    log, up_to, texts = EventLog(), events.present_cursor(), []
    while True:
        missed = log.get_events(channel, cursor, _PAGE, up_to)
        cursor = missed.cursor
        text, ended = _frames(channel, [Delivery(each, each.cursor) for each in missed.events])
        texts.append(text)
        if ended:
            return "".join(texts)
        if missed.complete:
            return "".join([*texts, STAY_AWAY])


def told(state: Present, cursor: Cursor) -> str:
    """The present state as events."""
    texts = []
    for event in state.events:
        envelope = seal(event, cursor)
        texts.append(
            _ending(envelope, cursor)
            if envelope.is_terminal
            else envelope.frame(brief=False, cursor=cursor)
        )
    return "".join(texts)


def _ending(event: Envelope, cursor: Cursor) -> str:
    return STAY_AWAY + event.frame(brief=False, cursor=cursor)


def _opening(cursor: Cursor | None) -> str:
    """Something at once, so that the client knows that it is connected, and its first position."""
    return frame("", cursor, "stream-open")


def _keep_alive(cursor: Cursor) -> str:
    """Also takes the client's position forward, so that a quiet stream's never expires."""
    return frame("", cursor, "keep-alive")
