"""Two policies with the same rules, one of plain hooks and one of async ones.

The tenant is whoever a header names, as a reverse proxy could set it.
"""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest

from django_durably.access import (
    AllowAny,
    DjangoPermissions,
    NotAuthenticated,
    PermissionDenied,
    Policy,
    RunFilter,
    Trigger,
)
from django_durably.models import Run

SHUT = "shut"
"""A tenant that is known, and permitted nothing."""


def tenant_of(request: HttpRequest) -> str:
    tenant = request.headers.get("X-Tenant")
    if tenant is None:
        raise NotAuthenticated(challenge="Tenant")
    return tenant


def check(tenant: str) -> None:
    if tenant == SHUT:
        raise PermissionDenied("This tenant is shut")


class TenantPolicy(Policy):
    """Each hook touches the database, as a hook of a real site does."""

    def authenticate(self, request: HttpRequest) -> str:
        User.objects.exists()
        return tenant_of(request)

    def authorize_trigger(self, context: str, trigger: Trigger) -> Trigger:
        User.objects.exists()
        check(context)
        return trigger.with_labels(tenant=context).with_key_prefix(f"{context}:")

    def scope_runs(self, context: str, filter: RunFilter) -> RunFilter:
        User.objects.exists()
        check(context)
        return filter.with_labels(tenant=context)

    def name_of(self, context: str, request: HttpRequest) -> str:
        return f"tenant {context}"


class AsyncTenantPolicy(Policy):
    async def authenticate(self, request: HttpRequest) -> str:
        await User.objects.aexists()
        return tenant_of(request)

    async def authorize_trigger(self, context: str, trigger: Trigger) -> Trigger:
        await User.objects.aexists()
        check(context)
        return trigger.with_labels(tenant=context).with_key_prefix(f"{context}:")

    async def scope_runs(self, context: str, filter: RunFilter) -> RunFilter:
        await User.objects.aexists()
        check(context)
        return filter.with_labels(tenant=context)

    async def name_of(self, context: str, request: HttpRequest) -> str:
        return f"tenant {context}"


class SharedKeysPolicy(TenantPolicy):
    """Tenants that forgot to keep their keys apart."""

    def authorize_trigger(self, context: str, trigger: Trigger) -> Trigger:
        return trigger.with_labels(tenant=context)


class TokenPolicy(DjangoPermissions):
    """Reads no cookies, so that no other site's page can use them."""

    cookies = False

    def authenticate(self, request: HttpRequest) -> Any:
        name = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            return User.objects.get(username=name)
        except User.DoesNotExist:
            raise NotAuthenticated("Unknown token", challenge="Bearer") from None


class ReadersPolicy(TenantPolicy):
    """Everybody may read what is theirs, and change nothing of it."""

    def authorize_run(self, context: str, run: Run, operation: str) -> None:
        if run.labels.get("tenant") != context or operation not in ("read", "steps"):
            raise PermissionDenied("You may only read")


class BrokenPolicy(AllowAny):
    def scope_runs(self, context: None, filter: RunFilter) -> RunFilter:
        raise RuntimeError("the secret")
