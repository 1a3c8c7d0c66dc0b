"""Runs in the admin: which address shows what, and who may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from django_durably.admin import acting, exporting, live, page, triggering
from django_durably.admin.listing import SEARCHED_FAILURES, Listing, runs
from django_durably.models import Run, Step
from django_durably.storage import database

if TYPE_CHECKING:
    from django_durably.models import RunQuerySet

    ModelAdmin = admin.ModelAdmin[Run]
else:
    ModelAdmin = admin.ModelAdmin


class RunAdmin(ModelAdmin):
    """The run list, the page of a run, triggering, and the actions, with Django's permissions.

    Viewing needs `durably.view_run`; the actions `durably.trigger_run`, `durably.cancel_run` and
    `durably.delete_run`. Override `get_queryset` to hide runs from some users: live updates
    follow it for single runs, and tell of others only that something changed.
    """

    actions = None

    def get_queryset(self, request: HttpRequest) -> RunQuerySet:
        return runs()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "trigger")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "view")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def may(self, request: HttpRequest, verb: str) -> bool:
        """Whether the user has the permission `durably.{verb}_run`."""
        return request.user.has_perm(f"durably.{verb}_run")

    def require(self, request: HttpRequest, verb: str) -> None:
        """Raises PermissionDenied. Whoever acts must see, too."""
        if not (self.has_view_permission(request) and self.may(request, verb)):
            raise PermissionDenied

    def permissions(self, request: HttpRequest) -> dict[str, bool]:
        return {verb: self.may(request, verb) for verb in ("trigger", "cancel", "delete")}

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        events = live.streams(self)
        own = [
            path("act/", wrap(require_POST(self.act_view)), name="durably_run_act"),
            path("export/", wrap(require_POST(self.export_view)), name="durably_run_export"),
            path("trigger/", wrap(self.trigger_view), name="durably_run_trigger"),
            path("live/", events.of_runs, name="durably_run_live"),
            path("live/run/", events.of_run, name="durably_run_live_one"),
            path(
                "<uuid:run_id>/value/",
                wrap(require_safe(self.value_view)),
                name="durably_run_value",
            ),
        ]
        return [*own, *super().get_urls()]

    def url(self, name: str, *args: Any) -> str:
        """The address of one of these pages, under the site that it belongs to."""
        return reverse(f"admin:durably_run_{name}", args=args, current_app=self.admin_site.name)

    def render(
        self, request: HttpRequest, template: str, context: dict[str, Any]
    ) -> TemplateResponse:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "may": self.permissions(request),
            **context,
        }
        return TemplateResponse(request, f"admin/durably/{template}", context)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        listing = Listing(request.GET, self.get_queryset(request))
        listing.load()
        context = {
            "title": _("Runs"),
            "listing": listing,
            "tabs": listing.tabs(),
            "searched": SEARCHED_FAILURES,
            "most_acted_on": acting.MOST,
            **(extra_context or {}),
        }
        return self.render(request, "runs.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_object(request, object_id)
        if run is None:
            messages.warning(request, _("This run does not exist, or no longer."))
            return redirect(self.url("changelist"))
        context = {"title": run.job_name, **page.context_of(run, request.GET)}
        return self.render(request, "run.html", {**context, **(extra_context or {})})

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return redirect(self.url("trigger"))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's own confirmation would list every step: the page of the run has the button."""
        return redirect(self.url("change", object_id))

    def act_view(self, request: HttpRequest) -> HttpResponse:
        return acting.respond(self, request)

    def trigger_view(self, request: HttpRequest) -> HttpResponse:
        self.require(request, "trigger")
        return triggering.respond(self, request)

    def export_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        chosen = acting.chosen_ids(self, request)
        return exporting.respond(self.get_queryset(request), chosen, request.POST.get("format", ""))

    def value_view(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """One value in full, as JSON: `?of=input`, `?of=output`, or `?step=ID`."""
        run = self.get_object(request, str(run_id))
        if run is None or not self.has_view_permission(request):
            raise PermissionDenied
        if request.GET.get("step", "").isdigit():
            steps = Step.objects.using(database.connection().alias).filter(run=run)
            found = steps.filter(pk=request.GET["step"]).values_list("output", flat=True)
            value = found.first()
        else:
            value = run.input if request.GET.get("of") == "input" else run.output
        return JsonResponse(
            value,
            safe=False,
            json_dumps_params={"indent": 2, "ensure_ascii": False},
            headers={"Content-Disposition": f'attachment; filename="{run_id}.json"'},
        )
