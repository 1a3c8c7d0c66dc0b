"""The runs of an object on its own page in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_durably.admin.listing import runs
from django_durably.models import Run
from django_durably.storage.queries import RunFilter

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = object

FIELD = "durably_runs"


class RunsMixin(ModelAdmin):
    """Shows an object's runs, found by label, on its change page, with their live state.

        class OrderAdmin(RunsMixin, admin.ModelAdmin):
            runs_label = "order"          # runs triggered with labels={"order": str(order.pk)}

    Only who may view runs sees them. Override `runs_labels` for other labels than one with the
    object's primary key.
    """

    runs_label: ClassVar[str] = ""
    runs_shown: ClassVar[int] = 10

    def runs_labels(self, obj: Model) -> dict[str, str]:
        """The labels that the runs of this object carry."""
        return {self.runs_label or self.opts.model_name or "": str(obj.pk)}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = [
            (name, {**options, "fields": [f for f in options["fields"] if f != FIELD]})
            for name, options in super().get_fieldsets(request, obj)
        ]
        if self._shows_runs(request, obj):
            fieldsets.append((_("Runs"), {"fields": [FIELD]}))
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return [*fields, FIELD] if self._shows_runs(request, obj) else fields

    def _shows_runs(self, request: HttpRequest, obj: Any) -> bool:
        may = obj is not None and request.user.has_perm("durably.view_run")
        return may and self.admin_site.is_registered(Run)

    @admin.display(description=_("Runs"))
    def durably_runs(self, obj: Model) -> SafeString:
        labels = self.runs_labels(obj)
        name = self.admin_site.name
        url = reverse("admin:durably_run_changelist", current_app=name)
        live = reverse("admin:durably_run_live", current_app=name)
        found = RunFilter().with_labels(**labels).apply(runs())
        heavy = ("input", "output", "error", "error_traceback")
        context: dict[str, Any] = {
            "runs": [
                (run, reverse("admin:durably_run_change", args=[run.pk], current_app=name))
                for run in self._shown(found.defer(*heavy))
            ],
            "all": f"{url}?{urlencode({'label': '='.join(next(iter(labels.items())))})}",
            "live": f"{live}?{urlencode({f'label.{k}': v for k, v in labels.items()})}",
        }
        return render_to_string("admin/durably/_object_runs.html", context)

    def _shown(self, found: Any) -> list[Run]:
        return list(found.order_by("-pk")[: self.runs_shown])

    @property
    def media(self) -> forms.Media:
        ours = forms.Media(
            css={"all": ["durably/admin/durably.css"]}, js=["durably/admin/durably.js"]
        )
        return super().media + ours
