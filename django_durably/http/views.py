"""The endpoints: each parses, asks the policy, calls one operation and projects its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied

from django_durably import guard, parameters, projections
from django_durably.access import Operation, Policy, RunFilter
from django_durably.exceptions import NotFoundError
from django_durably.http import bodies, openapi, triggering
from django_durably.jobs import registry
from django_durably.models import LogEntry, Run, Step
from django_durably.operations import control, triggers
from django_durably.operations.why import why
from django_durably.storage import database

if TYPE_CHECKING:
    from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in, with what its policy made of it."""

    request: HttpRequest
    policy: Policy
    context: Any

    def run(self, operation: Operation) -> Run:
        """The run that `runId` names, if the caller may do this with it."""
        run_id = parameters.run_id(self.request.GET)
        return guard.find_run(self.policy, self.context, run_id, operation)

    def scope(self, filter: RunFilter) -> RunFilter:
        return guard.scope_runs(self.policy, self.context, filter)

    def name(self) -> str | None:
        return triggering.name_of(self.policy, self.context, self.request)


def trigger(call: Call) -> Any:
    asked = triggering.read(bodies.read_object(call.request))
    request = triggering.authorize(call.policy, call.context, asked, call.name())
    run = triggers.trigger(request)
    return {"runId": str(run.pk), "disposition": run.disposition}


def list_runs(call: Call) -> Any:
    wanted = parameters.run_filter(call.request.GET, by_status=True)
    page = parameters.page(call.request.GET)
    runs = call.scope(wanted).apply(Run.objects.using(_alias())).defer("error_traceback")
    return [projections.client_run(run) for run in runs.order_by("-pk")[page.rows]]


def get_run(call: Call) -> Any:
    return projections.client_run(call.run(Operation.READ))


def list_steps(call: Call) -> Any:
    run = call.run(Operation.STEPS)
    steps = Step.objects.using(_alias()).filter(run=run).order_by("index", "attempt")
    return [projections.step_record(step) for step in steps]


def list_logs(call: Call) -> Any:
    query = call.request.GET
    run = call.run(Operation.LOGS)
    page, after = parameters.page(query), parameters.whole_number(query, "after", 0)
    entries = LogEntry.objects.using(_alias()).filter(run=run, pk__gt=after).order_by("pk")
    return [projections.log_entry(entry) for entry in entries[: page.limit]]


def retrigger(call: Call) -> Any:
    run = control.retrigger(call.run(Operation.RETRIGGER), triggered_by=call.name())
    return {"success": True, "runId": str(run.pk)}


def cancel(call: Call) -> Any:
    control.cancel(call.run(Operation.CANCEL))
    return {"success": True}


def delete(call: Call) -> Any:
    control.delete(call.run(Operation.DELETE))
    return {"success": True}


def explain(call: Call) -> Any:
    run = call.run(Operation.READ)
    try:
        visible = call.scope(RunFilter())
    except PermissionDenied:
        visible = RunFilter().with_jobs()
    return {"reasons": why(run, visible)}


def list_jobs(call: Call) -> Any:
    return [
        {
            "name": job.name,
            "inputSchema": job.input.json_schema(),
            "outputSchema": job.output.json_schema(),
        }
        for job in registry.all_jobs()
        if triggering.is_allowed(call.policy, call.context, job.name)
    ]


def describe(call: Call) -> Any:
    return openapi.document(call.request.path.removesuffix("/openapi.json"))


def nothing_here(call: Call) -> Any:
    raise NotFoundError("Not found")


def _alias() -> str:
    return database.connection().alias
