"""The API under the policy of the settings: `include("django_durably.urls")`."""

from django_durably.http.api import APP_NAME, DurablyAPI

app_name = APP_NAME
urlpatterns = DurablyAPI().patterns
