"""Which path has which handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.urls import URLPattern, path, re_path

from django_durably.http import views
from django_durably.http.responses import Handler, make_view, not_found
from django_durably.sse import views as sse

if TYPE_CHECKING:
    from django_durably.http.api import DurablyAPI

ROUTES: Final[dict[str, dict[str, Handler]]] = {
    "trigger": {"POST": views.trigger},
    "runs": {"GET": views.list_runs},
    "run": {"GET": views.get_run, "DELETE": views.delete},
    "steps": {"GET": views.list_steps},
    "logs": {"GET": views.list_logs},
    "why": {"GET": views.explain},
    "retrigger": {"POST": views.retrigger},
    "cancel": {"POST": views.cancel},
    "jobs": {"GET": views.list_jobs},
    "openapi.json": {"GET": views.describe},
}


def patterns(api: DurablyAPI) -> list[URLPattern]:
    """The routes of one mount. No other path below it is left to the site."""
    return [
        *(path(route, make_view(api, handlers), name=route) for route, handlers in ROUTES.items()),
        path("subscribe", sse.subscribe_run(api), name="subscribe"),
        path("runs/subscribe", sse.subscribe_runs(api), name="runs-subscribe"),
        re_path("", not_found),
    ]
