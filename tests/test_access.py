"""Policies by themselves: what their hooks answer, what they refuse, and the default."""

from collections.abc import Callable
from inspect import isawaitable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory

from django_durably import access
from django_durably.access import (
    AllowAny,
    DjangoPermissions,
    NotAuthenticated,
    Operation,
    Policy,
    RunFilter,
    Trigger,
)
from django_durably.models import Run

REQUEST = RequestFactory().get("/")
RUN = Run(job_name="echo", labels={"org": "1"})
OTHER = Run(job_name="echo", labels={"org": "2"})


class ByLabel(Policy):
    def scope_runs(self, context: str, filter: RunFilter) -> RunFilter:
        return filter.with_labels(org=context)


class ByLabelAsync(Policy):
    async def scope_runs(self, context: str, filter: RunFilter) -> RunFilter:
        return filter.with_labels(org=context)


def settled(answer: Any) -> Any:
    """What a hook answered, awaited if need be."""

    async def awaited() -> Any:
        return await answer

    return async_to_sync(awaited)() if isawaitable(answer) else answer


def test_a_policy_admits_nobody_unless_it_says_so() -> None:
    policy = Policy()
    with pytest.raises(NotAuthenticated):
        policy.authenticate(REQUEST)
    refusing: tuple[Callable[[], Any], ...] = (
        lambda: policy.authorize_trigger(None, Trigger("echo")),
        lambda: policy.authorize_job(None, "echo"),
        lambda: policy.scope_runs(None, RunFilter()),
        lambda: policy.scope_events(None, RunFilter()),
        lambda: policy.authorize_run(None, RUN, Operation.READ),
    )
    for refused in refusing:
        with pytest.raises(PermissionDenied):
            refused()


@pytest.mark.parametrize("policy", [ByLabel(), ByLabelAsync()])
@pytest.mark.parametrize("operation", Operation)
def test_everything_may_be_done_with_runs_in_scope_and_nothing_with_others(
    policy: Policy, operation: str
) -> None:
    assert settled(policy.authorize_run("1", RUN, operation)) is None
    with pytest.raises(PermissionDenied):
        settled(policy.authorize_run("1", OTHER, operation))


@pytest.mark.parametrize("policy", [ByLabel(), ByLabelAsync()])
def test_events_have_the_scope_of_runs(policy: Policy) -> None:
    scope = settled(policy.scope_events("1", RunFilter().with_jobs("echo")))
    assert scope == RunFilter().with_jobs("echo").with_labels(org="1")


def test_a_scope_by_status_is_about_the_runs_own() -> None:
    class Done(Policy):
        def scope_runs(self, context: None, filter: RunFilter) -> RunFilter:
            return filter.with_statuses("completed")

    Done().authorize_run(None, Run(job_name="echo", status="completed"), "read")
    with pytest.raises(PermissionDenied):
        Done().authorize_run(None, RUN, "read")


def test_allow_any_allows_anything() -> None:
    policy, trigger = AllowAny(), Trigger("echo")
    policy.authenticate(REQUEST)
    assert policy.authorize_trigger(None, trigger) is trigger
    assert policy.scope_runs(None, RunFilter()) == RunFilter()
    for operation in Operation:
        policy.authorize_run(None, RUN, operation)


def test_django_permissions_need_a_user() -> None:
    request = RequestFactory().get("/")
    for user in (None, AnonymousUser()):
        request.user = user  # type: ignore[assignment]
        with pytest.raises(NotAuthenticated):
            DjangoPermissions().authenticate(request)
        assert DjangoPermissions().name_of(None, request) is None


def test_every_operation_has_a_permission() -> None:
    assert set(DjangoPermissions.permissions) == set(Operation)


def test_labels_of_a_policy_win_over_the_callers() -> None:
    trigger = Trigger("echo", labels={"org": "2", "a": "b"})
    changed = trigger.with_labels(org="1", **{"c/d": "e"})
    assert changed.labels == {"org": "1", "a": "b", "c/d": "e"}
    assert trigger.labels == {"org": "2", "a": "b"}


def test_a_label_must_be_a_string() -> None:
    for labelled in (Trigger("echo"), RunFilter()):
        with pytest.raises(TypeError, match="The label org must be a string, not 1"):
            labelled.with_labels(org=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "prefixed"),
    [
        ((None, None), (None, None)),
        (("i", None), ("1:i", None)),
        ((None, "c"), (None, "1:c")),
        (("i", "c"), ("1:i", "1:c")),
    ],
)
def test_a_prefix_goes_before_the_keys_that_are_there(
    keys: tuple[str | None, str | None], prefixed: tuple[str | None, str | None]
) -> None:
    trigger = Trigger("echo", idempotency_key=keys[0], concurrency_key=keys[1])
    changed = trigger.with_key_prefix("1:")
    assert (changed.idempotency_key, changed.concurrency_key) == prefixed


def test_the_default_policy_is_one_object_until_the_setting_changes(settings: Any) -> None:
    default = access.default_policy()
    assert type(default) is DjangoPermissions
    assert access.default_policy() is default
    settings.DURABLY = {"POLICY": "django_durably.access.AllowAny"}
    assert type(access.default_policy()) is AllowAny
