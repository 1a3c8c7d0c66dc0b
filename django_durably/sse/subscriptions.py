"""One listener's way through the log: what it missed first, then what comes, each event once."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

from django_durably.sse import relay as relays
from django_durably.sse.channels import Channel
from django_durably.sse.envelopes import Envelope
from django_durably.sse.listeners import Listener
from django_durably.sse.storage import EventLog, Missed, from_memory
from django_durably.storage import events
from django_durably.storage.cursors import Cursor

T = TypeVar("T")

PAGE: Final = 200
"""How many events a listener that is behind reads at once."""


class Stopped(Exception):
    """The relay was closed: what follows a subscription ends, and its client has to come back."""


class Delivery(NamedTuple):
    """An event, and the position of the listener after it."""

    event: Envelope
    cursor: Cursor


class Subscription:
    """A listener on a channel: ``async with Subscription(channel) as subscription``.

    ``cursor`` says what it has seen. It begins at the present end of the log. The block ends when
    the relay is closed.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.cursor = Cursor(0)
        self._log = EventLog()
        self._up_to: Cursor | None = None

    async def __aenter__(self) -> Self:
        self._listener = Listener(self.channel)
        self._relay = relays.join(self._listener)
        try:
            await self.read(self._relay.start)
        except BaseException:
            self.close()
            raise
        self.cursor = self._relay.cursor
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.close()
        return isinstance(error, Stopped)

    def close(self) -> None:
        relays.leave(self._relay, self._listener)

    async def read(self, function: Callable[..., T], *args: object) -> T:
        """What a function returns that reads the database; it is called in the reader's thread."""
        if self._relay.stopping:
            raise Stopped
        return await self._relay.reader.read(function, *args)

    async def resume(self, cursor: Cursor) -> bool:
        """Go on after this cursor, if all that came later is there; whether it is."""
        if not self._has_in_memory(cursor) and not await self.read(events.can_resume, cursor):
            return False
        self.cursor = cursor
        self._fall_behind()
        return True

    def _has_in_memory(self, cursor: Cursor) -> bool:
        known = cursor.highest <= self._relay.cursor.highest
        return known and self._relay.ring.after(cursor, limit=0) is not None

    def skip(self, cursor: Cursor) -> None:
        """Count all that this cursor has seen as seen by this listener."""
        self.cursor = self.cursor.merge(cursor)

    async def next(self, timeout: float) -> list[Delivery]:
        """What comes next; nothing after ``timeout`` seconds.

        Raises Stopped when the relay was closed.
        """
        clock = asyncio.get_running_loop().time
        ends_at = clock() + timeout
        while True:
            if self._up_to is not None:
                found = await self._catch_up(self._up_to)
            else:
                found = self._deliver(self._take())
            if found or clock() >= ends_at:
                return found
            if self._up_to is None:
                await self._wait(ends_at - clock())

    def move_on(self) -> None:
        """Count what was of no interest as seen, if nothing waits to be taken."""
        handed_over = self._relay.handed_over  # before the look at what waits
        if self._up_to is None and not self._relay.listeners.have_for(self._listener):
            self.skip(handed_over)

    async def _wait(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._listener.aevent.wait()
        except TimeoutError:
            pass

    def _take(self) -> list[Envelope]:
        waiting, overrun = self._relay.listeners.take(self._listener)
        if self._relay.stopping:
            raise Stopped
        if overrun:
            # What did not fit is behind what did, and all of it is in the ring or the table.
            self._fall_behind()
            return []
        return waiting

    def _fall_behind(self) -> None:
        self._up_to = self._relay.cursor

    async def _catch_up(self, up_to: Cursor) -> list[Delivery]:
        missed = from_memory(self._relay.ring, self.channel, self.cursor, PAGE)
        if missed is None:
            missed = await self.read(self._missed, up_to)
        deliveries = self._deliver(missed.events)
        self.cursor = self.cursor.merge(missed.cursor)
        if missed.complete:
            self._up_to = None
        return deliveries

    def _missed(self, up_to: Cursor) -> Missed:
        return self._log.get_events(self.channel, self.cursor, PAGE, up_to)

    def _deliver(self, waiting: list[Envelope]) -> list[Delivery]:
        return [self._advance(event) for event in waiting if not self.cursor.has_seen(event.id)]

    def _advance(self, event: Envelope) -> Delivery:
        if event.cursor.covers(self.cursor):
            self.cursor = event.cursor
        else:
            self.cursor = self.cursor.merge(event.cursor)
        return Delivery(event, self.cursor)
