"""The selected runs as CSV or JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from django.http import HttpResponse

from django_durably import projections
from django_durably.models import Run, RunQuerySet

_FIELDS: Final = (
    *("id", "jobName", "status", "createdAt", "startedAt", "completedAt", "error"),
    *("completedStepCount", "labels", "progress", "input", "output"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class _Echo:
    """What a csv writer writes into: it gives the line back."""

    def write(self, line: str) -> str:
        return line


def respond(runs: RunQuerySet, ids: list[UUID], kind: str) -> HttpResponse:
    """A download of these runs, the newest first."""
    found = list(runs.filter(pk__in=ids).order_by("-pk"))
    if kind == "json":
        rows = [projections.client_run(run) for run in found]
        text = json.dumps(rows, indent=2, ensure_ascii=False)
        return HttpResponse(text, content_type="application/json", headers=_headers("runs.json"))
    kind_of_text = "text/csv; charset=utf-8"
    return HttpResponse(_lines(found), content_type=kind_of_text, headers=_headers("runs.csv"))


def _headers(name: str) -> dict[str, str]:
    disposition = f'attachment; filename="{name}"'
    return {"Content-Disposition": disposition, "Cache-Control": "no-store"}


def _lines(runs: list[Run]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(_FIELDS)
    for run in runs:
        row: Any = projections.client_run(run)
        yield writer.writerow([_cell(row[name]) for name in _FIELDS])


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "" if value is None else text
    # A spreadsheet would execute it.
    return f"'{text}" if text.startswith(_FORMULA) else text
