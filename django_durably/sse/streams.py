"""Event streams as text.

A stream ends after its run's terminal event, and after it has lasted or sent enough: a server that
buffers without limit must not be filled by a client that does not read. The client comes back with
the id of the last event that it got, and goes on from there.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Final
from uuid import UUID

from django_durably.conf import get_settings
from django_durably.sse import feeds
from django_durably.sse.envelopes import frame
from django_durably.sse.feeds import Patience, Portion
from django_durably.storage.cursors import Cursor
from django_durably.storage.queries import RunFilter

KEEP_ALIVE: Final = 20.0
"""Seconds of silence after which something is sent, for proxies that cut what is silent."""
STAY_AWAY: Final = "retry: 86400000\n\n"
"""Tells an `EventSource`, which reconnects whenever a stream ends, to wait for a day."""


class Limits:
    """For how long, and how much, one connection may send."""

    def __init__(self) -> None:
        settings = get_settings()
        # Clients that came at the same moment must not come back at the same moment.
        lasts = settings.stream_duration.total_seconds() * random.uniform(0.9, 1)
        self._clock = asyncio.get_running_loop().time
        self._silent_since = self._clock()
        self.ends_at = self._clock() + lasts
        self.bytes_left = settings.stream_max_bytes

    @property
    def reached(self) -> bool:
        return self.bytes_left <= 0 or self._clock() >= self.ends_at

    def patience(self) -> float:
        """Seconds until something has to be done even if nothing happens."""
        return min(self._silent_since + KEEP_ALIVE, self.ends_at) - self._clock()

    def is_silent(self) -> bool:
        return self._clock() >= self._silent_since + KEEP_ALIVE

    def count(self, text: str) -> bytes:
        """The text as bytes, which count as sent."""
        sent = text.encode()
        self.bytes_left -= len(sent)
        self._silent_since = self._clock()
        return sent


def of_run(run_id: UUID, cursor: Cursor | None) -> AsyncGenerator[bytes, None]:
    """The stream of an active run, resumed after this cursor if that can be served."""
    return _sent(lambda patience: feeds.of_run(run_id, cursor, patience), brief=False)


def of_runs(filter: RunFilter, cursor: Cursor | None) -> AsyncGenerator[bytes, None]:
    """The stream of all runs that the filter matches."""
    return _sent(lambda patience: feeds.of_runs(filter, cursor, patience), brief=True)


async def of_portion(portion: Portion) -> AsyncIterator[bytes]:
    """The stream of a run of which this is all that is left to say."""
    yield _text(portion, brief=False).encode()


async def _sent(
    feed: Callable[[Patience], AsyncGenerator[Portion, None]], brief: bool
) -> AsyncGenerator[bytes, None]:
    limits = Limits()
    async with aclosing(feed(limits.patience)) as portions:
        async for portion in portions:
            if portion.deliveries or portion.opens or portion.ends:
                yield limits.count(_text(portion, brief, limits.bytes_left))
            elif limits.is_silent():
                yield limits.count(_keep_alive(portion.cursor))
            if limits.reached:
                return


def _text(portion: Portion, brief: bool, most: int | None = None) -> str:
    """The portion as Server-Sent Events, cut off after the event that makes it too long."""
    texts = [_opening(portion)] if portion.opens else []
    length = 0
    for event, cursor in portion.deliveries:
        if portion.ends and event is portion.deliveries[-1].event:
            texts.append(STAY_AWAY)
        texts.append(event.frame(brief, cursor))
        length += len(texts[-1])
        if most is not None and length >= most:
            break
    if portion.ends and not portion.deliveries:
        texts.append(STAY_AWAY)
    return "".join(texts)


def _opening(portion: Portion) -> str:
    """Something at once, so that the client knows that it is connected, and its first position."""
    return frame("", None if portion.resumed else portion.cursor, "stream-open")


def _keep_alive(cursor: Cursor) -> str:
    """Also takes the client's position forward, so that a quiet stream's never expires."""
    return frame("", cursor, "keep-alive")
