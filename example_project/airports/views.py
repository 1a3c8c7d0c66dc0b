"""The pages. They change nothing about runs themselves: each calls one verb of django-durably."""

import json
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST
from django.views.generic import ListView

from django_durably import ConflictError, NotFoundError, Run, ValidationError, get_job
from example_project.airports.models import Airport
from example_project.settings import FRONTEND

MANIFEST = FRONTEND / ".vite" / "manifest.json"


def home(request: HttpRequest) -> HttpResponse:
    return render(request, "airports/home.html", {"airport_count": Airport.objects.count()})


@permission_required("durably.view_run")
def react_page(request: HttpRequest) -> HttpResponse:
    """The page that npm has built, if it has; its files are found by the manifest of the build."""
    context = {"api": reverse("durably:runs").removesuffix("/runs")}
    if MANIFEST.exists():
        context |= json.loads(MANIFEST.read_text())["src/main.tsx"]
    return render(request, "airports/react.html", context)


class AirportList(ListView):  # type: ignore[type-arg]
    model = Airport
    paginate_by = 50

    def get_queryset(self) -> QuerySet[Airport]:
        airports = Airport.objects.all()
        if query := self.request.GET.get("q", "").strip():
            code = Q(icao__iexact=query) | Q(iata__iexact=query) | Q(country__iexact=query)
            airports = airports.filter(code | Q(name__icontains=query) | Q(city__icontains=query))
        return airports


@require_POST
@permission_required("durably.trigger_run", raise_exception=True)
def trigger(request: HttpRequest, job_name: str) -> HttpResponse:
    """Triggers a job with the form's fields as its input, which the job's own schema validates."""
    fields = {name: value for name, value in request.POST.items() if value}
    fields.pop("csrfmiddlewaretoken", None)
    try:
        # A second click changes nothing while the run of the first one waits.
        key = f"{job_name}?{urlencode(fields)}"
        run = get_job(job_name).trigger(fields, concurrency_key=key, coalesce="skip")
    except NotFoundError as error:
        raise Http404(error.message) from error
    except ValidationError as error:
        messages.error(request, error.message)
        return redirect("home")
    if run.disposition == "coalesced":
        messages.info(request, "The same run is already waiting.")
    return redirect("run", run.id)


@permission_required("durably.view_run")
def run_detail(request: HttpRequest, run_id: UUID) -> HttpResponse:
    run = get_object_or_404(Run, pk=run_id)
    return render(request, "airports/run.html", {"run": run})


@require_POST
@permission_required("durably.cancel_run", raise_exception=True)
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    try:
        get_object_or_404(Run, pk=run_id).cancel()
    except ConflictError as error:
        messages.error(request, error.message)
    return redirect("run", run_id)


@require_POST
@permission_required("durably.trigger_run", raise_exception=True)
def retrigger(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """A fresh run with the same input."""
    try:
        run = get_object_or_404(Run, pk=run_id).retrigger()
    except (ConflictError, ValidationError) as error:
        messages.error(request, error.message)
        return redirect("run", run_id)
    return redirect("run", run.id)


@require_POST
@permission_required("durably.delete_run", raise_exception=True)
def delete(request: HttpRequest, run_id: UUID) -> HttpResponse:
    try:
        get_object_or_404(Run, pk=run_id).delete()
    except ConflictError as error:
        messages.error(request, error.message)
        return redirect("run", run_id)
    return redirect("home")
