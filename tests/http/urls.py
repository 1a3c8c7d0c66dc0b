"""Several mounts of the API, each with a policy of its own."""

from django.urls import include, path

from django_durably import DurablyAPI
from django_durably.access import AllowAny
from tests.http import policies

urlpatterns = [
    path("default/", include("django_durably.urls")),
    path("open/", DurablyAPI(AllowAny(), name="open").urls),
    path("tenants/", DurablyAPI(policies.TenantPolicy(), name="tenants").urls),
    path("async/tenants/", DurablyAPI(policies.AsyncTenantPolicy(), name="async-tenants").urls),
    path("shared/", DurablyAPI(policies.SharedKeysPolicy(), name="shared").urls),
    path("tokens/", DurablyAPI(policies.TokenPolicy(), name="tokens").urls),
    path("readers/", DurablyAPI(policies.ReadersPolicy(), name="readers").urls),
    path("broken/", DurablyAPI(policies.BrokenPolicy(), name="broken").urls),
]
