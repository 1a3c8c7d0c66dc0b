"""What one client is sent, whatever carries it: present state or what it missed, then what comes.

A feed comes in portions. The first says whether the client's position could be resumed; one without
events says that nothing happened for a while.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django_durably.sse.channels import ListChannel, RunChannel
from django_durably.sse.envelopes import seal
from django_durably.sse.storage import EventLog
from django_durably.sse.subscriptions import Delivery, Subscription
from django_durably.storage import events, present
from django_durably.storage.cursors import Cursor
from django_durably.storage.present import Present
from django_durably.storage.queries import RunFilter

_PAGE: Final = 500

Patience = Callable[[], float]
"""Seconds after which a portion is wanted even if nothing happened."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Events for the client, and the position at which it is after them."""

    deliveries: Sequence[Delivery]
    cursor: Cursor
    opens: bool = False
    resumed: bool = False
    ends: bool = False
    """Nothing follows, now or ever: the run has ended, and the client knows it."""


async def of_run(
    run_id: UUID, cursor: Cursor | None, patience: Patience
) -> AsyncGenerator[Portion, None]:
    """The events of an active run, after this cursor if that can be served."""
    async with Subscription(RunChannel(run_id)) as subscription:
        if cursor is not None and await subscription.resume(cursor):
            first = Portion((), cursor, opens=True, resumed=True)
        else:
            first = _told(await subscription.read(present.of_run, run_id), subscription)
        yield first
        if not first.ends:
            async for portion in _rest(subscription, patience, ends=True):
                yield portion


async def of_runs(
    filter: RunFilter, cursor: Cursor | None, patience: Patience
) -> AsyncGenerator[Portion, None]:
    """The events of all runs that the filter matches."""
    async with Subscription(ListChannel(filter)) as subscription:
        resumed = cursor is not None and await subscription.resume(cursor)
        yield Portion((), subscription.cursor, opens=True, resumed=resumed)
        async for portion in _rest(subscription, patience, ends=False):
            yield portion


async def _rest(
    subscription: Subscription, patience: Patience, ends: bool
) -> AsyncIterator[Portion]:
    while True:
        deliveries = await subscription.next(patience())
        if not deliveries:
            subscription.move_on()
        portion = _portion(deliveries, subscription.cursor, ends)
        yield portion
        if portion.ends:
            return


def _portion(deliveries: Sequence[Delivery], cursor: Cursor, ends: bool) -> Portion:
    """These events; where a terminal one ends it, nothing that comes after it."""
    if ends:
        for number, (event, after) in enumerate(deliveries, 1):
            if event.is_terminal:
                return Portion(deliveries[:number], after, ends=True)
    return Portion(deliveries, cursor)


def _told(state: Present | None, subscription: Subscription) -> Portion:
    if state is None:
        return Portion((), subscription.cursor, opens=True, ends=True)
    subscription.skip(Cursor(state.event_id))
    return _state(state, subscription.cursor)


def _state(state: Present, cursor: Cursor) -> Portion:
    deliveries = [Delivery(seal(event, cursor), cursor) for event in state.events]
    return Portion(deliveries, cursor, opens=True, ends=state.run.is_terminal)


def of_finished_run(run_id: UUID, cursor: Cursor | None) -> Portion:
    """All that is left to say of a terminal run: what was missed, else its terminal event.

    It reads the database, and needs no relay.
    """
    state = present.of_run(run_id)
    if state is None:
        return Portion((), cursor or Cursor(0), opens=True, ends=True)
    if cursor is None or not events.can_resume(cursor):
        return _state(state, Cursor(state.event_id))
    if cursor.has_seen(state.events[0].id):
        return Portion((), cursor, opens=True, resumed=True, ends=True)
    return _missed(RunChannel(run_id), cursor)


def _missed(channel: RunChannel, cursor: Cursor) -> Portion:
    log, up_to = EventLog(), events.present_cursor()
    found: list[Delivery] = []
    complete = False
    while not complete:
        missed = log.get_events(channel, cursor, _PAGE, up_to)
        found += [Delivery(event, event.cursor) for event in missed.events]
        cursor, complete = missed.cursor, missed.complete
    portion = _portion(found, cursor, ends=True)
    return Portion(portion.deliveries, portion.cursor, opens=True, resumed=True, ends=True)
