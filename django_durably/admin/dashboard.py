"""The overview: is work flowing, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import FloatField, Q, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from django_durably import clock
from django_durably.admin import charts, problems
from django_durably.admin.listing import count_by_status, runs
from django_durably.models import Overview, Rollup, RunStatus, Worker
from django_durably.models.rollup import ALL_JOBS
from django_durably.storage import database, distinct, workers

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Overview]
else:
    ModelAdmin = admin.ModelAdmin

RANKED: Final = 10


class OverviewAdmin(ModelAdmin):
    """One page, which needs the permission `durably.view_run`; nothing is added or changed here."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("durably.view_run")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="durably_overview_changelist"),
            path(
                "<path:object_id>/change/", view(self.change_view), name="durably_overview_change"
            ),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        name = "admin:durably_run_change"
        return redirect(reverse(name, args=[object_id], current_app=self.admin_site.name))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Overview"),
            "may_trigger": request.user.has_perm("durably.trigger_run"),
            **overview(request.GET.get("period", ""), request.GET.get("sort", "")),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/durably/overview.html", context)


def overview(period_name: str, sort: str) -> dict[str, Any]:
    """All that the page shows, in a fixed number of queries."""
    period = charts.PERIODS.get(period_name, charts.PERIODS["hour"])
    alive, heads = problems.alive_workers(), distinct.queue_heads()
    counts = count_by_status(runs())
    found = charts.spans(period)
    return {
        "period": period,
        "periods": charts.PERIODS.values(),
        "sort": "time" if sort == "time" else "failures",
        "statuses": [(value, label, counts[value]) for value, label in RunStatus.choices],
        "problems": problems.find(alive, heads),
        "oldest": heads[0] if heads else None,
        "heads": heads[:RANKED],
        "charts": [
            charts.throughput(found),
            charts.percentiles("duration", _("Duration"), found, "durations"),
            charts.percentiles("waiting", _("Waiting time"), found, "waits"),
        ],
        "jobs": ranking(period, sort),
        "workers": _workers(alive),
        "slots": sum(worker.concurrency for worker in alive),
        "busy": sum(worker.busy for worker in alive),
    }


def ranking(period: charts.Period, sort: str) -> list[dict[str, Any]]:
    """The jobs with the most failures, or those that took the most time, in this period."""
    rows = Rollup.objects.using(database.connection().alias).filter(
        seconds=period.rollup, start__gte=period.starts()[0]
    )
    failures = Coalesce(Sum("count", filter=Q(status="failed")), 0)
    time = Coalesce(Sum("total_duration"), 0.0, output_field=FloatField())
    jobs = rows.exclude(job_name=ALL_JOBS).values("job_name")
    jobs = jobs.annotate(runs=Sum("count"), failures=failures, time=time)
    order = ("-time", "job_name") if sort == "time" else ("-failures", "-runs", "job_name")
    return [
        {**job, "mean": job["time"] / job["runs"], "rate": 100 * job["failures"] / job["runs"]}
        for job in jobs.order_by(*order)[:RANKED]
    ]


def _workers(alive: list[Worker]) -> list[Worker]:
    """The live ones, and those that fell silent not long ago, marked by `silent`."""
    since = clock.now() - workers.silence_of_the_dead()
    everybody = Worker.objects.using(database.connection().alias).filter(heartbeat_at__lt=since)
    silent = list(everybody.order_by("-heartbeat_at")[:RANKED])
    for worker in silent:
        worker.silent = True  # type: ignore[attr-defined]
    return [*alive, *silent]
