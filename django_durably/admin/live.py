"""Event streams for the admin's pages, open to whom the admin is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_durably.access import NotAuthenticated, PermissionDenied, Policy, RunFilter
from django_durably.sse import views

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_durably.admin.run import RunAdmin
    from django_durably.models import Run


class AdminPolicy(Policy):
    """Who may log into the admin site and view runs may listen. The context is the request."""

    def __init__(self, admin: RunAdmin) -> None:
        self._admin = admin

    def authenticate(self, request: HttpRequest) -> HttpRequest:
        if not self._admin.admin_site.has_permission(request):
            raise NotAuthenticated
        return request

    def scope_runs(self, context: Any, filter: RunFilter) -> RunFilter:
        if not self._admin.has_view_permission(context):
            raise PermissionDenied
        return filter

    def authorize_run(self, context: Any, run: Run, operation: str) -> None:
        visible = self._admin.get_queryset(context).filter(pk=run.pk)
        if not self._admin.has_view_permission(context, run) or not visible.exists():
            raise PermissionDenied


@dataclass(frozen=True)
class Mount:
    """What the views of the event streams want to know."""

    policy: Policy


@dataclass(frozen=True)
class Streams:
    of_run: views.View
    of_runs: views.View


def streams(admin: RunAdmin) -> Streams:
    """The views `?runId=` and `?jobName=&label.KEY=` for this admin."""
    mount = Mount(AdminPolicy(admin))
    return Streams(of_run=views.subscribe_run(mount), of_runs=views.subscribe_runs(mount))
