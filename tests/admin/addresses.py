"""The addresses of the admin's pages."""

from typing import Any

from django.urls import reverse

from django_durably.models import Run

RUNS = reverse("admin:durably_run_changelist")
ACT = reverse("admin:durably_run_act")
EXPORT = reverse("admin:durably_run_export")
TRIGGER = reverse("admin:durably_run_trigger")
OVERVIEW = reverse("admin:durably_overview_changelist")


def page_of(run: Run) -> str:
    return reverse("admin:durably_run_change", args=[run.pk])


def history_of(run: Run) -> str:
    return reverse("admin:durably_run_history", args=[run.pk])


def listed(answer: Any) -> list[Run]:
    """The runs on a page of the list."""
    rows: list[Run] = answer.context["listing"].rows
    return rows
