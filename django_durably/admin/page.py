"""Everything that the page of one run shows, in a bounded number of queries."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Q, TextField
from django.db.models.functions import Cast, Substr
from django.http import QueryDict
from django.utils.translation import gettext as _

from django_durably import values
from django_durably.admin import timeline
from django_durably.admin.listing import runs
from django_durably.events import EventType
from django_durably.exceptions import DurablyError
from django_durably.jobs import registry
from django_durably.models import Event, LogEntry, Run, Step
from django_durably.models.log import LogLevel
from django_durably.operations.why import why
from django_durably.storage import database

STEPS: Final = 100
LOGS: Final = 200
EVENTS: Final = 50
RELATED: Final = 10
PREVIEW: Final = 4000
"""How many characters of a step's output the page shows; the link below it has all."""
LARGEST_TREE: Final = 100_000
_NOT_SHOWN: Final = ("input", "output", "error", "error_traceback")


def context_of(run: Run, query: QueryDict) -> dict[str, Any]:
    """The template's context for this run."""
    steps, earlier_steps = _steps(run, query.get("steps_before", ""))
    running = _running_step(run) if run.status == "leased" else None
    return {
        "run": run,
        "reasons": why(run) if run.is_active else [],
        "failed_step": _failed_step(run),
        "timeline": timeline.draw(run, steps, running, in_part=_is_part(query, earlier_steps)),
        "steps": steps,
        "earlier_steps": earlier_steps,
        "job_is_known": run.job_name in registry.names(),
        "description": _description(run.job_name),
        "is_large": _is_large(run),
        **_logs(run, query),
        "events": _events(run)[:EVENTS],
        **_related(run),
    }


def _is_part(query: QueryDict, earlier_steps: int | None) -> bool:
    return earlier_steps is not None or bool(query.get("steps_before"))


def _steps(run: Run, end: str) -> tuple[list[Any], int | None]:
    """The last tries (before the index `end`), with the beginning of each output as `preview`; and
    the index before which there are more."""
    found = Step.objects.using(database.connection().alias).filter(run=run)
    if end.isdigit():
        found = found.filter(index__lt=int(end[:9]))
    text = Substr(Cast("output", TextField()), 1, PREVIEW + 1)
    light = found.defer("output").annotate(output_text=text).order_by("-index", "-attempt")
    page = list(light[: STEPS + 1])
    shown = page[:STEPS][::-1]
    for step in shown:
        _preview(step)
    return shown, shown[0].index if len(page) > STEPS else None


def _preview(step: Any) -> None:
    text = step.output_text
    step.cut = text is not None and len(text) > PREVIEW
    step.has_output = text not in (None, "null")
    if not step.cut and text is not None:
        try:
            step.value = values.decode(text)
        except DurablyError:
            step.cut = True


def _is_large(run: Run) -> dict[str, bool]:
    sizes = {"input": run.input, "output": run.output}
    return {name: len(repr(value)) > LARGEST_TREE for name, value in sizes.items()}


def _failed_step(run: Run) -> Step | None:
    if run.status != "failed":
        return None
    steps = Step.objects.using(database.connection().alias).filter(run=run, status="failed")
    return steps.defer("output").order_by("-index", "-attempt").first()


def _running_step(run: Run) -> dict[str, Any] | None:
    """The step that has started last, unless it has ended, too."""
    kinds = (EventType.STEP_START, EventType.STEP_COMPLETE, EventType.STEP_FAIL)
    events = Event.objects.using(database.connection().alias).filter(run_id=run.pk)
    last = events.filter(type__in=[kind.value for kind in kinds]).order_by("-pk").first()
    if last is None or last.type != EventType.STEP_START:
        return None
    return {"name": str(last.payload.get("stepName", "")), "since": last.created_at}


def _description(job_name: str) -> str:
    try:
        doc = registry.get(job_name).func.__doc__ or ""
    except DurablyError:
        return ""
    return doc.strip().split("\n\n")[0]


def _logs(run: Run, query: QueryDict) -> dict[str, Any]:
    """The newest log entries, oldest first, of the level asked for and worse."""
    level = query.get("level", "")
    worse = {"warn": ["warn", "error"], "error": ["error"]}.get(level)
    found = LogEntry.objects.using(database.connection().alias).filter(run=run)
    if worse:
        found = found.filter(level__in=worse)
    if (before := query.get("logs_before", "")).isdigit():
        found = found.filter(pk__lt=int(before[:18]))
    newest = list(found.order_by("-pk")[: LOGS + 1])
    return {
        "logs": newest[:LOGS][::-1],
        "older_logs": newest[LOGS - 1].pk if len(newest) > LOGS else None,
        "level": level if worse else "",
        "levels": [("", _("all")), ("warn", LogLevel.WARN.label), ("error", LogLevel.ERROR.label)],
    }


def _events(run: Run) -> Any:
    return Event.objects.using(database.connection().alias).filter(run_id=run.pk).order_by("-pk")


def _related(run: Run) -> dict[str, Any]:
    """The run that this one repeats, those that repeat it, and its neighbours by key."""
    wanted = Q(retriggered_from=run.pk)
    light = runs().defer(*_NOT_SHOWN)
    same_key = []
    if run.concurrency_key is not None:
        with_key = light.filter(concurrency_key=run.concurrency_key).exclude(pk=run.pk)
        same_key = list(with_key.order_by("-pk")[:RELATED])
    from_ = run.retriggered_from
    return {
        "repeats": light.filter(pk=from_).first() if from_ else None,
        "repeated_by": list(light.filter(wanted).order_by("-pk")[:RELATED]),
        "same_key": same_key,
    }
