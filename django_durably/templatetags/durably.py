"""`{% durably_run run %}` and `{% durably_runs %}`: a run or a list of runs that stay up to date.

Both render HTML that says all by itself. Where the API is mounted and the server speaks ASGI, one
static script follows what happens, on one connection for all widgets of a page.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context
from django.utils.safestring import SafeString

from django_durably.models import Run
from django_durably.templatetags import widgets

register = template.Library()


@register.simple_tag(takes_context=True)
def durably_run(
    context: Context,
    run: Run,
    *,
    api: str = "",
    steps: bool = True,
    log: bool = True,
    output: bool = True,
    limit: int = 100,
) -> SafeString:
    """A run's status, progress, output, steps and log.

    `api` is the name of the API's mount, if not `durably`, or its URL; `limit` is for how many
    steps and log entries there is room, the newest. Whoever sees the page sees the run: the view
    decides. What follows comes through the API, under its policy.
    """
    shown = widgets.of_run(run, widgets.mount(api), limit)
    shown |= {"show_steps": steps, "show_log": log, "show_output": output}
    return _rendered(context, "durably/run.html", shown)


@register.simple_tag(takes_context=True)
def durably_runs(
    context: Context,
    *,
    job: str = "",
    limit: int = 20,
    labels: dict[str, str] | None = None,
    url: str = "",
    api: str = "",
    **label_arguments: Any,
) -> SafeString:
    """The newest runs, at most `limit`: `{% durably_runs job="import-csv" label_org="1" %}`.

    `label_KEY="…"` narrows to a label; `labels` takes a dictionary, for other keys. `url` names a
    URL pattern that takes a run's id: each run becomes a link. `api` is as for `durably_run`. Only
    runs that the API's policy lets the request's user see are shown; nothing at all if it lets the
    user see none. Raises ImproperlyConfigured without a request in the context.
    """
    wanted = widgets.wanted(job, {**(labels or {}), **widgets.label_arguments(label_arguments)})
    shown = widgets.of_runs(context.get("request"), wanted, widgets.mount(api), limit, url)
    return _rendered(context, "durably/runs.html", shown) if shown else SafeString()


def _rendered(context: Context, name: str, shown: dict[str, Any]) -> SafeString:
    # Asking for Django's nonce puts it into the header: only pages that have one ask.
    nonce = {"csp_nonce": context["csp_nonce"]} if "csp_nonce" in context else {}
    engine = context.template.engine if context.template else template.Engine.get_default()
    return engine.get_template(name).render(context.new({**shown, **nonce}))
