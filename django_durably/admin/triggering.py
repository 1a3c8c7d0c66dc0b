"""Triggering a job by a form, from nothing or from the input of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_durably.admin import acting
from django_durably.admin.listing import checked_labels
from django_durably.admin.schema_forms import SchemaForm, initial_of
from django_durably.exceptions import DurablyError, NotFoundError, ValidationError
from django_durably.fields import KEY_LENGTH
from django_durably.jobs import registry
from django_durably.jobs.definition import Definition
from django_durably.models import Run
from django_durably.operations import triggers

if TYPE_CHECKING:
    from django_durably.admin.run import RunAdmin


class OptionsForm(forms.Form):
    """What may be said about a run beside its input."""

    labels = forms.CharField(
        label=gettext_lazy("Labels"),
        required=False,
        help_text=gettext_lazy("One key=value on each line."),
        widget=forms.Textarea(attrs={"rows": 3, "class": "durably-code"}),
    )
    concurrency_key = forms.CharField(
        label=gettext_lazy("Concurrency key"),
        required=False,
        max_length=KEY_LENGTH,
        help_text=gettext_lazy("Of all runs with this key, one executes at a time."),
    )
    idempotency_key = forms.CharField(
        label=gettext_lazy("Idempotency key"),
        required=False,
        max_length=KEY_LENGTH,
        help_text=gettext_lazy("A run of this job with this key exists once."),
    )

    def clean_labels(self) -> dict[str, str]:
        found = {}
        for line in self.cleaned_data["labels"].splitlines():
            key, equals, value = line.partition("=")
            if line.strip() and not equals:
                raise forms.ValidationError(_("Write each label as key=value."))
            if equals:
                found[key.strip()] = value.strip()
        return checked_labels(found)


def respond(admin: RunAdmin, request: HttpRequest) -> HttpResponse:
    """The list of jobs, the form of one (`?job=`, `?from=` a run), or a new run after a POST."""
    source = _source(admin, request)
    name = source.job_name if source else request.GET.get("job", "")
    if not name:
        return _choose(admin, request)
    try:
        definition = registry.get(name)
    except NotFoundError:
        raise Http404 from None
    return _Trigger(admin, request, definition, source).respond()


def _source(admin: RunAdmin, request: HttpRequest) -> Run | None:
    if not (text := request.GET.get("from", "")):
        return None
    try:
        found = admin.get_queryset(request).filter(pk=UUID(text)).first()
    except ValueError:
        found = None
    if found is None:
        raise Http404
    return found


def _choose(admin: RunAdmin, request: HttpRequest) -> HttpResponse:
    jobs = [
        (job.name, (job.func.__doc__ or "").strip().split("\n")[0]) for job in registry.all_jobs()
    ]
    return admin.render(request, "jobs.html", {"title": _("Trigger a job"), "jobs": jobs})


class _Trigger:
    """One request for the form of one job."""

    def __init__(
        self, admin: RunAdmin, request: HttpRequest, job: Definition, source: Run | None
    ) -> None:
        self.admin, self.request, self.job, self.source = admin, request, job, source
        data = request.POST if request.method == "POST" else None
        self.form = SchemaForm(job.input.json_schema(), data)
        self.options = OptionsForm(data, use_required_attribute=False, initial=self._options())
        if source:
            self.form.initial = initial_of(self.form, source.input)

    def _options(self) -> dict[str, Any]:
        if self.source is None:
            return {}
        labels = "\n".join(f"{key}={value}" for key, value in self.source.labels.items())
        return {"labels": labels, "concurrency_key": self.source.concurrency_key or ""}

    def respond(self) -> HttpResponse:
        if self.request.method == "POST" and (run := self._triggered()) is not None:
            return redirect(self.admin.url("change", run.pk))
        doc = (self.job.func.__doc__ or "").strip().split("\n\n")[0]
        context = {
            "title": self.job.name,
            "subtitle": None,
            "description": doc,
            "form": self.form,
            "options": self.options,
            "source": self.source,
        }
        return self.admin.render(self.request, "trigger.html", context)

    def _triggered(self) -> Run | None:
        """The new run; None when the forms have something to say."""
        if not (self.form.is_valid() & self.options.is_valid()):
            return None
        try:
            run = triggers.trigger(self._request())
        except ValidationError as error:
            self._show(error)
            return None
        except DurablyError as error:
            self.options.add_error(None, str(error))
            return None
        self._tell(run)
        return run

    def _request(self) -> triggers.TriggerRequest:
        options = self.options.cleaned_data
        return triggers.make_request(
            self.job,
            self.form.value(),
            labels=options["labels"],
            concurrency_key=options["concurrency_key"] or None,
            idempotency_key=options["idempotency_key"] or None,
            retriggered_from=self.source.pk if self.source else None,
            triggered_by=self.request.user.get_username(),
        )

    def _show(self, error: ValidationError) -> None:
        if error.__cause__ is None and (error.field or "").startswith(
            ("labels", "idemp", "concur")
        ):
            self.options.add_error(None, str(error))
        else:
            self.form.show_errors(error)

    def _tell(self, run: Run) -> None:
        if run.disposition != "created":
            text = _("A run with this idempotency key exists already: this is it.")
            messages.info(self.request, text)
            return
        words = f"Retriggered from {self.source.pk}." if self.source else "Triggered."
        acting.record(self.request, run.pk, str(run), ADDITION, words)
        messages.success(self.request, _("Triggered."))
