"""An event on its way to many listeners: its JSON and its frame are made once for all of them."""

from dataclasses import dataclass, field
from uuid import UUID

from django_eventstream.utils import sse_encode_event

from django_durably import projections
from django_durably.events import TERMINAL_EVENTS
from django_durably.storage.cursors import Cursor
from django_durably.storage.events import RecordedEvent


@dataclass(frozen=True, slots=True, eq=False)
class Envelope:
    """``whole`` is the event's JSON; in ``brief``, large fields are left out."""

    id: int
    type: str
    run_id: UUID
    job_name: str
    labels: dict[str, str]
    whole: str
    brief: str
    cursor: Cursor
    """What has been seen by a reader of the whole log after this event."""
    _frames: dict[bool, str] = field(default_factory=dict)

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL_EVENTS

    @property
    def size(self) -> int:
        """Characters that it holds in memory, about: each text is kept in a frame, too."""
        return len(self.whole) + len(self.brief)

    def text(self, brief: bool) -> str:
        return self.brief if brief else self.whole

    def frame(self, brief: bool, cursor: Cursor | None) -> str:
        """The event as Server-Sent Events show it, with this cursor as its id."""
        if cursor is not self.cursor:
            return frame(self.text(brief), cursor)
        if brief not in self._frames:
            self._frames[brief] = frame(self.text(brief), cursor)
        return self._frames[brief]


def seal(event: RecordedEvent, cursor: Cursor) -> Envelope:
    """The event as it is sent, by whoever has seen ``cursor`` with it."""
    message = projections.client_event(event)
    whole = projections.to_bytes(message).decode()
    brief = whole
    if len(whole) > projections.MAX_FIELD_BYTES // 4:
        brief = projections.to_bytes(projections.shortened(message)).decode()
    return Envelope(
        event.id, event.type, event.run_id, event.job_name, event.labels, whole, brief, cursor
    )


def frame(text: str, cursor: Cursor | None, name: str = "message") -> str:
    """One message of Server-Sent Events; without a cursor it leaves the client's place as it is."""
    frame: str = sse_encode_event(name, text, None if cursor is None else str(cursor))
    return frame
