"""`POST /trigger`: from the body over the policy to a request for a run."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.exceptions import PermissionDenied

from django_durably import guard, labels, values
from django_durably.access import Policy, Trigger
from django_durably.exceptions import ConflictError, ValidationError
from django_durably.jobs import registry
from django_durably.jobs.definition import Definition
from django_durably.models import Run
from django_durably.operations import triggers
from django_durably.operations.triggers import TriggerRequest

NAME_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for, valid: the job, the text of its input, and what a policy is shown."""

    definition: Definition
    input_text: str
    trigger: Trigger


def read(body: dict[str, Any]) -> Asked:
    """Raises ValidationError, naming the field, and NotFoundError for an unknown job."""
    definition = registry.get(_job_name(body))
    _check_options(body.get("idempotencyKey"), body.get("concurrencyKey"), body.get("coalesce"))
    checked = labels.check(body.get("labels"))
    # What JSON text can say and no database stores, such as 1e999, before pydantic makes it null.
    values.encode(body.get("input"), "input")
    input_text = definition.input.dump(definition.input.validate(body.get("input")))
    trigger = Trigger(
        job_name=definition.name,
        input=values.decode(input_text),
        idempotency_key=body.get("idempotencyKey"),
        concurrency_key=body.get("concurrencyKey"),
        coalesce=body.get("coalesce"),
        labels=checked,
    )
    return Asked(definition, input_text, trigger)


def _job_name(body: dict[str, Any]) -> str:
    name = body.get("jobName")
    if name is None or name == "":
        raise ValidationError("jobName is required", field="jobName")
    if not isinstance(name, str):
        raise ValidationError(
            f"jobName must be a string, not {values.type_name(name)}", field="jobName"
        )
    return name


def _check_options(idempotency_key: Any, concurrency_key: Any, coalesce: Any) -> None:
    triggers.check_key("idempotencyKey", idempotency_key)
    triggers.check_key("concurrencyKey", concurrency_key)
    triggers.check_coalesce(coalesce, concurrency_key)


def authorize(
    policy: Policy, context: Any, asked: Asked, triggered_by: str | None
) -> TriggerRequest:
    """The request as the policy wants it, valid again.

    Raises PermissionDenied, and ValidationError for what the policy made of it.
    """
    trigger = guard.call(policy.authorize_trigger, context, asked.trigger)
    if not isinstance(trigger, Trigger) or trigger.job_name != asked.definition.name:
        raise TypeError(f"authorize_trigger must return a Trigger of the job, not {trigger!r}")
    _check_options(trigger.idempotency_key, trigger.concurrency_key, trigger.coalesce)
    return TriggerRequest(
        definition=asked.definition,
        input_text=_input_text(asked, trigger),
        labels=labels.validate(trigger.labels),
        idempotency_key=trigger.idempotency_key,
        concurrency_key=trigger.concurrency_key,
        coalesce=trigger.coalesce is not None,
        triggered_by=triggered_by,
        accept=partial(_refuse_hidden, policy, context),
    )


def _input_text(asked: Asked, trigger: Trigger) -> str:
    """The text of the input; validated anew where the policy gave another one."""
    if values.encode(trigger.input, "input") == asked.input_text:
        return asked.input_text
    schema = asked.definition.input
    return schema.dump(schema.validate(trigger.input))


def _refuse_hidden(policy: Policy, context: Any, holder: Run) -> None:
    """A run that the caller may not see is not the answer, and hears nothing of the caller."""
    if not guard.may_read(policy, context, holder):
        raise ConflictError("A run already holds this key")


def name_of(policy: Policy, context: Any, request: Any) -> str | None:
    """Who is asking, as a run keeps it."""
    name = guard.call(policy.name_of, context, request)
    return None if name is None else str(name)[:NAME_LENGTH]


def is_allowed(policy: Policy, context: Any, job_name: str) -> bool:
    """Whether the caller may know of this job."""
    try:
        guard.call(policy.authorize_job, context, job_name)
    except PermissionDenied:
        return False
    return True
