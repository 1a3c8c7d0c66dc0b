"""How the admin's pages show times, statuses, progress and JSON. All of it escapes."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django import template
from django.utils import formats, timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_durably import clock
from django_durably.models import Run, RunStatus

register = template.Library()

NOTHING: Final = "\N{EN DASH}"
MOST_NODES: Final = 400
"""How many values of one JSON document are shown folded; the text below it has them all."""

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"))


@register.filter
def badge(status: str) -> SafeString:
    """A status as a coloured word."""
    word = RunStatus(status).label if status in RunStatus.values else status
    return format_html(
        '<span class="durably-badge durably-{}">{}</span>',
        status if status in RunStatus.values else "other",
        word,
    )


@register.filter
def seconds(value: float | timedelta | None) -> str:
    """A duration in words: `85 ms`, `1.24 s`, `3 min 5 s`, `2 d 4 h`. Numbers are seconds."""
    if value is None:
        return NOTHING
    number = value.total_seconds() if isinstance(value, timedelta) else float(value)
    number = max(0.0, number)
    if number < 1:
        return f"{number * 1000:.0f} ms"
    if number < 60:
        digits = 1 if number >= 10 else 2
        return f"{formats.number_format(round(number, digits), digits)} s"
    for size, unit in _UNITS:
        if number >= size:
            whole, rest = divmod(int(number), size)
            return f"{whole} {unit}{_rest(rest, size)}"
    return ""


def _rest(rest: int, size: int) -> str:
    smaller = {86400: (3600, "h"), 3600: (60, "min"), 60: (1, "s")}[size]
    count = rest // smaller[0]
    return f" {count} {smaller[1]}" if count else ""


@register.filter
def age(moment: datetime | None) -> str | SafeString:
    """How long ago, with the moment itself for those who ask."""
    if moment is None:
        return NOTHING
    passed = (clock.now() - moment).total_seconds()
    words = _("now") if passed < 1 else f"{int(passed)} s" if passed < 60 else seconds(passed)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), at_text(moment), words
    )


@register.filter
def at(moment: datetime | None) -> str | SafeString:
    """The moment in the current time zone."""
    if moment is None:
        return NOTHING
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), at_text(moment))


def at_text(moment: datetime) -> str:
    local = timezone.localtime(moment)
    return f"{formats.date_format(local, 'DATE_FORMAT')} {local:%H:%M:%S} {local.tzname()}"


@register.filter
def clock_time(moment: datetime) -> SafeString:
    """The time of day, to the millisecond."""
    local = timezone.localtime(moment)
    text = f"{local:%H:%M:%S}.{local.microsecond // 1000:03}"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), at_text(moment), text
    )


@register.filter
def waited(run: Run) -> float | None:
    """Seconds from the trigger to the first start, or until now, or to the end without a start."""
    end = run.started_at or run.completed_at or clock.now()
    return (end - run.created_at).total_seconds()


@register.filter
def duration(run: Run) -> float | None:
    """Seconds from the first start to the end, or until now; None before it has started."""
    if run.started_at is None:
        return None
    return ((run.completed_at or clock.now()) - run.started_at).total_seconds()


@register.filter
def short(run_id: object) -> str:
    """Enough of an id to tell it from its neighbours: the end, since ids begin with the time."""
    return f"…{str(run_id)[-8:]}"


@register.filter
def progress_bar(progress: Any) -> str | SafeString:
    """A `<progress>` with its numbers and its message."""
    if not isinstance(progress, Mapping) or "current" not in progress:
        return ""
    current, total = progress["current"], progress.get("total")
    message = progress.get("message") or ""
    if not total:
        return format_html('<span class="durably-progress">{} {}</span>', _number(current), message)
    label = f"{_number(current)} / {_number(total)}"
    return format_html(
        '<span class="durably-progress"><progress value="{}" max="{}" aria-label="{}"></progress>'
        ' <span class="durably-figures">{}</span> <span class="durably-quiet">{}</span></span>',
        _plain(current),
        _plain(total),
        _("Progress"),
        label,
        message,
    )


def _number(value: Any) -> str:
    return formats.number_format(value, use_l10n=True, force_grouping=True)


def _plain(value: Any) -> str:
    return repr(value) if isinstance(value, int | float) else "0"


@register.filter
def capped(count: int | None) -> str:
    """A count that was not carried further than 10,000."""
    if count is None:
        return ""
    return f"{_number(10_000)}+" if count > 10_000 else _number(count)


@register.filter
def json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def json_tree(value: Any) -> SafeString:
    """A JSON value as folding HTML."""
    return _node(value, iter(range(MOST_NODES)), 0)


def _node(value: Any, left: Iterator[int], depth: int) -> SafeString:
    if next(left, None) is None:
        return mark_safe('<span class="durably-quiet">…</span>')
    if isinstance(value, dict) and value:
        pairs = value.items()
    elif isinstance(value, list) and value:
        pairs = dict(enumerate(value)).items()
    else:
        return _leaf(value)
    rows = []
    for key, child in pairs:
        if next(left, None) is None or depth > 40:
            rows.append((_("more"), "…"))
            break
        rows.append((key, _node(child, left, depth + 1)))
    inner = format_html_join("", '<li><span class="durably-key">{}</span> {}</li>', rows)
    opened = mark_safe(" open") if depth < 2 and len(rows) <= 30 else ""
    return format_html(
        "<details{}><summary>{}</summary><ul>{}</ul></details>", opened, _size(value), inner
    )


def _size(value: dict[str, Any] | list[Any]) -> str:
    if isinstance(value, dict):
        return "{…} " + ngettext("%d member", "%d members", len(value)) % len(value)
    return "[…] " + ngettext("%d item", "%d items", len(value)) % len(value)


def _leaf(value: Any) -> SafeString:
    kind = {bool: "word", type(None): "word", int: "number", float: "number", str: "string"}
    return format_html(
        '<span class="durably-json-{}">{}</span>',
        kind.get(type(value), "word"),
        json.dumps(value, ensure_ascii=False),
    )
