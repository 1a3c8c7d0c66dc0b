from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DurablyConfig(AppConfig):
    name = "django_durably"
    label = "durably"
    verbose_name = _("Durable jobs")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_durably import checks  # noqa: F401  registers the system checks
        from django_durably.jobs.discovery import autodiscover

        autodiscover()
