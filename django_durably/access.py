"""Who may do what: a policy guards the HTTP API, the event streams and the WebSocket alike.

A policy's hooks may be ``def`` or ``async def``. Plain ones run where Django's ORM may be used.
What a policy does not allow is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from django.core.exceptions import PermissionDenied
from django.utils.module_loading import import_string

from django_durably.conf import get_settings
from django_durably.storage.queries import RunFilter

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_durably.models import Run

__all__ = [
    "AllowAny",
    "DjangoPermissions",
    "NotAuthenticated",
    "Operation",
    "PermissionDenied",
    "Policy",
    "RunFilter",
    "Trigger",
    "default_policy",
]

T = TypeVar("T")
U = TypeVar("U")


class NotAuthenticated(Exception):
    """Raised by `authenticate`: nobody known is asking. Over HTTP: 401.

    `challenge` becomes the header `WWW-Authenticate`, such as `Bearer`.
    """

    def __init__(self, message: str = "Not authenticated", *, challenge: str | None = None) -> None:
        super().__init__(message)
        self.challenge = challenge


class Operation(StrEnum):
    """What `authorize_run` is asked about."""

    READ = "read"
    SUBSCRIBE = "subscribe"
    STEPS = "steps"
    LOGS = "logs"
    RETRIGGER = "retrigger"
    CANCEL = "cancel"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A request for a run, valid so far. `input` is its validated JSON."""

    job_name: str
    input: Any = None
    idempotency_key: str | None = None
    concurrency_key: str | None = None
    coalesce: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def with_labels(self, **labels: str) -> Self:
        """The same with these labels, which win over the caller's.

        Raises TypeError for a value that is not a string.
        """
        for key, value in labels.items():
            if not isinstance(value, str):
                raise TypeError(f"The label {key} must be a string, not {value!r}")
        return replace(self, labels={**self.labels, **labels})

    def with_key_prefix(self, prefix: str) -> Self:
        """The same with this before each key that it has, so that callers do not share keys."""
        return replace(
            self,
            idempotency_key=_prefixed(prefix, self.idempotency_key),
            concurrency_key=_prefixed(prefix, self.concurrency_key),
        )


def _prefixed(prefix: str, key: str | None) -> str | None:
    return None if key is None else prefix + key


class Policy:
    """Derive from this and override the hooks. As it stands, it admits nobody to anything.

    Every hook may raise `PermissionDenied`. A run that the caller may not read is answered like
    one that does not exist.
    """

    cookies: ClassVar[bool] = True
    """Whether browsers send what `authenticate` looks at by themselves. False turns the check for
    cross-site requests off, for policies that read an `Authorization` header."""

    def authenticate(self, request: HttpRequest) -> Any:
        """Who is asking: a context for the other hooks. Raises NotAuthenticated."""
        raise NotAuthenticated

    def authorize_trigger(self, context: Any, trigger: Trigger) -> Any:
        """The trigger, perhaps changed; its labels and keys are validated afterwards."""
        raise PermissionDenied

    def scope_runs(self, context: Any, filter: RunFilter) -> Any:
        """The filter, narrowed to the runs that the caller may see."""
        raise PermissionDenied

    def scope_events(self, context: Any, filter: RunFilter) -> Any:
        """The filter, narrowed to the runs whose events the caller may see: as `scope_runs`."""
        return self.scope_runs(context, filter)

    def authorize_run(self, context: Any, run: Run, operation: str) -> Any:
        """Whether the caller may do this (see `Operation`) with this run; returns nothing.

        As it stands, everything with the runs that match `scope_runs`.
        """
        return _then(self.scope_runs(context, RunFilter()), lambda scope: _check(scope, run))

    def authorize_job(self, context: Any, job_name: str) -> Any:
        """Whether the caller may know of this job, and trigger it at all; returns nothing.

        As it stands, asks `authorize_trigger` about a trigger without input.
        """
        return self.authorize_trigger(context, Trigger(job_name))

    def name_of(self, context: Any, request: HttpRequest) -> Any:
        """Who is asking, in words for people: kept as `Run.triggered_by`. None: not known.

        As it stands, the name of Django's user.
        """
        user = getattr(request, "user", None)
        return user.get_username() if user is not None and user.is_authenticated else None


def _check(scope: RunFilter, run: Run) -> None:
    if not scope.matches(run.job_name, run.labels, run.status):
        raise PermissionDenied


def _then(value: T | Awaitable[T], function: Callable[[T], U]) -> U | Awaitable[U]:
    """The function of a hook's answer, now or when it is awaited."""
    if not isawaitable(value):
        return function(value)

    async def later() -> U:
        return function(await value)

    return later()


class DjangoPermissions(Policy):
    """The default: Django's users with Django's permissions, for all runs alike.

    The context is the user.
    """

    permissions: ClassVar[Mapping[str, str]] = {
        Operation.READ: "durably.view_run",
        Operation.SUBSCRIBE: "durably.view_run",
        Operation.STEPS: "durably.view_run",
        Operation.LOGS: "durably.view_run",
        Operation.RETRIGGER: "durably.trigger_run",
        Operation.CANCEL: "durably.cancel_run",
        Operation.DELETE: "durably.delete_run",
    }
    """The permission that each operation needs."""

    def authenticate(self, request: HttpRequest) -> Any:
        user = getattr(request, "user", None)
        if user is None or not user.is_authenticated:
            raise NotAuthenticated
        return user

    def authorize_trigger(self, context: Any, trigger: Trigger) -> Trigger:
        _require(context, "durably.trigger_run")
        return trigger

    def scope_runs(self, context: Any, filter: RunFilter) -> RunFilter:
        _require(context, "durably.view_run")
        return filter

    def authorize_run(self, context: Any, run: Run, operation: str) -> None:
        _require(context, self.permissions[operation])


def _require(user: Any, permission: str) -> None:
    if not user.has_perm(permission):
        raise PermissionDenied(f"The permission {permission} is needed")


class AllowAny(Policy):
    """Everybody may do everything: for a machine of one's own, and tests."""

    def authenticate(self, request: HttpRequest) -> None:
        return None

    def authorize_trigger(self, context: Any, trigger: Trigger) -> Trigger:
        return trigger

    def scope_runs(self, context: Any, filter: RunFilter) -> RunFilter:
        return filter


def default_policy() -> Policy:
    """An instance of the policy that the settings name, one per process."""
    return _policy(get_settings().policy)


@lru_cache(maxsize=8)
def _policy(path: str) -> Policy:
    policy: Final = import_string(path)()
    assert isinstance(policy, Policy)
    return policy
