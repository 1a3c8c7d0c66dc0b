"""What a query string asks for: `runId`, `jobName`, `status`, `label.KEY`, `limit`, `offset`.

The names and the rules are those of the wire protocol. What is wrong raises ValidationError with
the name in its message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django_durably import labels
from django_durably.exceptions import ValidationError
from django_durably.models import RunStatus
from django_durably.storage.queries import RunFilter

if TYPE_CHECKING:
    from django.http import QueryDict

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

_LABEL: Final = "label."
_DIGITS: Final = re.compile(r"[0-9]+")
# Every database takes this as a limit, an offset and an id, and no table has so many rows.
_MOST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Page:
    """`limit` rows after the first `offset`."""

    limit: int
    offset: int

    @property
    def rows(self) -> slice:
        return slice(self.offset, self.offset + self.limit)


def run_id(query: QueryDict) -> str:
    """The id that `runId` names, in whatever form."""
    found = query.get("runId")
    if not found:
        raise ValidationError("runId query parameter is required", field="runId")
    return found


def run_filter(query: QueryDict, *, by_status: bool) -> RunFilter:
    """`jobName` and `status` may repeat and mean any of them; every `label.KEY` must match."""
    statuses = map(_status, query.getlist("status") if by_status else ())
    pairs = [
        (name.removeprefix(_LABEL), value)
        for name in query
        if name.startswith(_LABEL)
        for value in query.getlist(name)
    ]
    return make_filter(query.getlist("jobName"), pairs, tuple(statuses))


def make_filter(
    job_names: Sequence[str] = (),
    label_pairs: Iterable[tuple[str, str]] = (),
    statuses: Sequence[str] = (),
) -> RunFilter:
    """A filter by what is given. Raises ValidationError for what cannot be a label."""
    filter = RunFilter()
    if job_names:
        filter = filter.with_jobs(*job_names)
    if statuses:
        filter = filter.with_statuses(*statuses)
    for key, value in label_pairs:
        filter = filter.with_labels(**labels.check({key: value}))
    return filter


def _status(text: str) -> str:
    if text not in RunStatus.values:
        known = ", ".join(RunStatus.values)
        raise ValidationError(f"Invalid status: {text}. Must be one of: {known}", field="status")
    return text


def page(query: QueryDict) -> Page:
    """`limit` (100 unless given, at most 1000) and `offset`."""
    limit = whole_number(query, "limit", DEFAULT_LIMIT)
    return Page(min(limit, MAX_LIMIT), whole_number(query, "offset", 0))


def whole_number(query: QueryDict, name: str, default: int) -> int:
    """A parameter that is a number from 0; a larger one than there can be rows becomes that."""
    text = query.get(name)
    if text is None:
        return default
    if not _DIGITS.fullmatch(text):
        raise ValidationError(f"{name} must be a non-negative integer", field=name)
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) < len(str(_MOST)) else _MOST
