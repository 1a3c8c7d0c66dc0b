"""The API for everybody, and for tenants that name themselves in a header."""

import django_eventstream
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from django_durably.access import AllowAny, NotAuthenticated, Policy, RunFilter
from django_durably.http.api import DurablyAPI


class TenantPolicy(Policy):
    cookies = False

    def authenticate(self, request: HttpRequest) -> str:
        if tenant := request.headers.get("X-Tenant"):
            return tenant
        raise NotAuthenticated

    def scope_runs(self, tenant: str, filter: RunFilter) -> RunFilter:
        return filter.with_labels(tenant=tenant)


def announce(request: HttpRequest) -> HttpResponse:
    """What the site sends on a channel of its own."""
    django_eventstream.send_event("news", "message", request.GET["text"])
    return HttpResponse("sent")


urlpatterns = [
    path("api/", DurablyAPI(policy=AllowAny()).urls),
    path("tenants/", DurablyAPI(policy=TenantPolicy(), name="tenants").urls),
    path("news/", include("django_eventstream.urls"), {"channels": ["news"]}),
    path("announce/", announce),
]
