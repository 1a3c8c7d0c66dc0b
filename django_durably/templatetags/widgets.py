"""What the template tags show: runs as their templates need them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest
from django.template import TemplateSyntaxError
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse
from django.utils.formats import localize
from django.utils.translation import gettext

from django_durably import clock, guard, parameters
from django_durably.access import NotAuthenticated, Policy, RunFilter, default_policy
from django_durably.http.api import APP_NAME
from django_durably.models import LogEntry, Run, RunStatus, Step
from django_durably.storage import database, events
from django_durably.storage.following import LOOK_BACK, follow

_LABEL: Final = "label_"
_NOBODY: Final = UUID(int=0)
"""Stands for a run's id in a URL that the script fills in."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Where an API is, and its policy. Without a URL there is none."""

    url: str
    policy: Policy


def mount(api: str) -> Mount:
    """The API of this name or URL; by default the one that is mounted as `durably`, if any.

    Raises NoReverseMatch for a name that no API has.
    """
    if api.startswith(("/", "http:", "https:")):
        return _mount(api.rstrip("/"))
    try:
        return _mount(reverse(f"{api or APP_NAME}:runs").removesuffix("/runs"))
    except NoReverseMatch:
        if api:
            raise
        return Mount("", default_policy())


def _mount(url: str) -> Mount:
    path = "/" + url.removeprefix(get_script_prefix())
    try:
        view = resolve(f"{path}/runs").func
    except Resolver404:  # it is on another site
        return Mount(url, default_policy())
    policy: Policy = view.api.policy if hasattr(view, "api") else default_policy()
    return Mount(url, policy)


def of_run(run: Run, mount: Mount, limit: int) -> dict[str, Any]:
    """The variables of `durably/run.html`."""
    found = follow(run, limit)
    is_live = bool(mount.url) and found.run.is_active
    return {
        "run": found.run,
        "progress": Progress.of(found.run),
        "steps": [*map(StepShown.of, found.steps)],
        "logs": [*map(LogShown.of, found.logs)],
        "output": _output(found.run),
        "labels": _json(found.run.labels),
        "words": _json({**_words(), "deleted": gettext("deleted"), "started": gettext("running")}),
        "limit": limit,
        "api": mount.url if is_live else "",
        "cursor": str(found.cursor),
        "seen": found.event_id,
    }


def of_runs(
    request: HttpRequest | None, wanted: RunFilter, mount: Mount, limit: int, url: str
) -> dict[str, Any] | None:
    """The variables of `durably/runs.html`; None when the user may see no runs."""
    if request is None:
        needed = "django.template.context_processors.request"
        raise ImproperlyConfigured(f"durably_runs needs the request: add {needed} to TEMPLATES")
    try:
        visible = guard.scope_runs(mount.policy, guard.admit(mount.policy, request), wanted)
    except (NotAuthenticated, PermissionDenied):
        return None
    cursor = events.present_cursor(LOOK_BACK)
    runs = visible.apply(Run.objects.using(database.connection().alias))
    return {
        "rows": [Row.of(run, url) for run in runs.order_by("-pk")[:limit]],
        "blank_url": reverse(url, args=[_NOBODY]) if url else "",
        "query": urlencode([*_query(wanted)]),
        "words": _json(_words()),
        "limit": limit,
        "api": mount.url,
        "cursor": str(cursor),
    }


def wanted(job: str, labels: Mapping[str, str]) -> RunFilter:
    """A filter by what is not empty. Raises ValidationError for what cannot be a label."""
    return parameters.make_filter([job] if job else [], labels.items())


def label_arguments(arguments: Mapping[str, Any]) -> dict[str, str]:
    """The labels that `label_KEY` arguments name. Raises TemplateSyntaxError for any other."""
    for name in arguments:
        if not name.startswith(_LABEL):
            raise TemplateSyntaxError(f"durably_runs got an unexpected argument {name}")
    return {name.removeprefix(_LABEL): str(value) for name, value in arguments.items()}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `percent` is None when the total is not known."""

    current: float
    total: float | None
    percent: int | None
    message: str

    @classmethod
    def of(cls, run: Run) -> Progress | None:
        if run.progress is None:
            return None
        current, total = run.progress["current"], run.progress.get("total")
        percent = min(100, int(100 * current / total)) if total else None
        return cls(current, total, percent, run.progress.get("message") or "")


@dataclass(frozen=True, slots=True)
class StepShown:
    """A step, with what it took in words."""

    name: str
    status: str
    label: str
    took: str
    error: str

    @classmethod
    def of(cls, step: Step) -> StepShown:
        # The events of other endings do not say how long it was.
        took = _took(step.started_at, step.completed_at) if step.status == "completed" else ""
        return cls(step.name, step.status, step.get_status_display(), took, step.error or "")


@dataclass(frozen=True, slots=True)
class LogShown:
    """A log entry, its data as JSON text."""

    level: str
    message: str
    data: str
    timestamp: datetime

    @classmethod
    def of(cls, entry: LogEntry) -> LogShown:
        data = "" if entry.data is None else _json(entry.data)
        return cls(entry.level, entry.message, data, entry.timestamp)


@dataclass(frozen=True, slots=True)
class Row:
    """A run in a list."""

    run: Run
    progress: Progress | None
    url: str
    is_old: bool

    @classmethod
    def of(cls, run: Run, url: str) -> Row:
        is_old = clock.now() - run.created_at >= timedelta(minutes=1)
        return cls(run, Progress.of(run), reverse(url, args=[run.pk]) if url else "", is_old)


def _took(begun: datetime, ended: datetime | None) -> str:
    """As the script says it: `12 ms`, `1.2 s`."""
    if ended is None:
        return ""
    milliseconds = round((ended - begun).total_seconds() * 1000)
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    return f"{localize(round(milliseconds / 1000, 1))} s"


def _output(run: Run) -> str:
    """For people, as the script writes it."""
    return "" if run.output is None else json.dumps(run.output, ensure_ascii=False, indent=2)


def _words() -> dict[str, str]:
    return {value: str(label) for value, label in RunStatus.choices}


def _query(filter: RunFilter) -> Iterator[tuple[str, str]]:
    for name in sorted(filter.job_names or ()):
        yield "jobName", name
    for key, value in sorted(filter.labels):
        yield f"label.{key}", value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
