"""The messages of the WebSocket: what clients may say, and how they are answered."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django_durably import parameters, values
from django_durably.exceptions import ValidationError
from django_durably.sse.feeds import Portion
from django_durably.storage.cursors import Cursor
from django_durably.storage.queries import RunFilter

MOST_CHARACTERS: Final = 64 * 1024
"""The longest message that a client may send."""
LONGEST_ID: Final = 100


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Follow a run, or all that a filter matches, under an id that the client has chosen."""

    id: str
    run_id: str | None
    filter: RunFilter
    cursor: Cursor | None

    @property
    def brief(self) -> bool:
        """Lists leave large fields out."""
        return self.run_id is None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    id: str


def read(text: str | None) -> dict[str, Any]:
    """A client's message as an object. Raises ValidationError."""
    if text is None or len(text) > MOST_CHARACTERS:
        raise ValidationError(f"A message must be text of at most {MOST_CHARACTERS} characters")
    message = values.decode(text, "The message")
    if not isinstance(message, dict):
        raise ValidationError("The message must be an object")
    return message


def understand(message: Mapping[str, Any]) -> Subscribe | Unsubscribe:
    """What a client asks for. Raises ValidationError, naming the field."""
    id_ = message.get("id")
    if not isinstance(id_, str) or not 1 <= len(id_) <= LONGEST_ID:
        raise ValidationError(f"id must be a string of 1 to {LONGEST_ID} characters", field="id")
    match message.get("type"):
        case "subscribe":
            return Subscribe(id_, _run_id(message), _filter(message), _cursor(message))
        case "unsubscribe":
            return Unsubscribe(id_)
    raise ValidationError("type must be 'subscribe' or 'unsubscribe'", field="type")


def _run_id(message: Mapping[str, Any]) -> str | None:
    run_id = message.get("runId")
    if run_id is not None and (not isinstance(run_id, str) or not run_id):
        raise ValidationError("runId must be a string", field="runId")
    return run_id


def _filter(message: Mapping[str, Any]) -> RunFilter:
    names = message.get("jobName", [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValidationError("jobName must be a string, or a list of them", field="jobName")
    labels = message.get("labels", {})
    if not isinstance(labels, dict):
        raise ValidationError("labels must be an object", field="labels")
    return parameters.make_filter(names, labels.items())


def _cursor(message: Mapping[str, Any]) -> Cursor | None:
    event_id = message.get("lastEventId")
    return Cursor.parse(event_id) if isinstance(event_id, str) else None


def answers(id: str, portion: Portion, brief: bool) -> Iterator[str]:
    """A portion as messages. A quiet one tells the client its position."""
    if portion.opens:
        yield _answer("subscribed", id, eventId=str(portion.cursor), resumed=portion.resumed)
    for event, cursor in portion.deliveries:
        # The event's JSON is there already.
        head = _answer("event", id, eventId=str(cursor))
        yield f'{head[:-1]},"event":{event.text(brief)}}}'
    if portion.ends:
        yield _answer("ended", id)
    elif not (portion.opens or portion.deliveries):
        yield _answer("position", id, eventId=str(portion.cursor))


def unsubscribed(id: str) -> str:
    return _answer("unsubscribed", id)


def error(id: object, status: int, text: str) -> str:
    """A refusal; the status is the one that HTTP would have."""
    return _answer("error", id if isinstance(id, str) else None, status=status, error=text)


def _answer(type_: str, id: str | None, **fields: Any) -> str:
    return json.dumps({"type": type_, "id": id, **fields}, separators=(",", ":"))
