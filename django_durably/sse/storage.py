"""Where a listener that is behind finds what it missed: in memory, else in the table."""

from dataclasses import dataclass

from django_eventstream.storage import StorageBase

from django_durably.events import EventType
from django_durably.sse.channels import Channel, RunChannel
from django_durably.sse.envelopes import Envelope, seal
from django_durably.sse.ring import Ring
from django_durably.storage import events
from django_durably.storage.cursors import Cursor
from django_durably.storage.events import RecordedEvent


@dataclass(frozen=True, slots=True)
class Missed:
    """The next of the events that a listener missed, and where it stands after them."""

    events: list[Envelope]
    cursor: Cursor
    complete: bool
    """Whether all is there up to where the relay was when it was asked."""


class EventLog(StorageBase):  # type: ignore[misc]
    """django-eventstream's storage, over the event log. Its last ids are cursors."""

    def append_event(self, channel: Channel, event_type: str, data: object) -> None:
        raise NotImplementedError("Events are recorded with the change of which they tell")

    def get_current_id(self, channel: Channel) -> Cursor:
        return events.present_cursor()

    def get_events(
        self, channel: Channel, last_id: Cursor, limit: int = 100, up_to: Cursor | None = None
    ) -> Missed:
        """What the channel wants of the next ``limit`` rows of the table.

        ``up_to`` is what the relay has sent; later events reach the listener from there.
        """
        run_id = channel.run_id if isinstance(channel, RunChannel) else None
        known = up_to or events.present_cursor()
        page = events.read_after(last_id, limit, run_id, up_to=known)
        cursor, found = last_id, []
        for event in _latest_progress(page):
            cursor = cursor.passing(event.id, known)
            envelope = seal(event, cursor)
            if channel.wants(envelope):
                found.append(envelope)
        complete = len(page) < limit
        return Missed(found, cursor.merge(known) if complete else cursor, complete)


def _latest_progress(page: list[RecordedEvent]) -> list[RecordedEvent]:
    """The events, each run's progress only as it was last."""
    latest = {event.run_id: event.id for event in page if event.type == EventType.RUN_PROGRESS}
    return [
        event
        for event in page
        if event.type != EventType.RUN_PROGRESS or latest[event.run_id] == event.id
    ]


def from_memory(ring: Ring, channel: Channel, cursor: Cursor, limit: int) -> Missed | None:
    """A page of what is in memory; None when the listener is too far behind for that."""
    page = ring.after(cursor, limit)
    if page is None:
        return None
    found = [event for event in page if channel.wants(event) and not cursor.has_seen(event.id)]
    after = cursor.merge(page[-1].cursor) if page else cursor
    return Missed(found, after, complete=len(page) < limit)
