"""What a body wrote with ``step.log``."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_durably import fields
from django_durably.models.run import Run


class LogLevel(models.TextChoices):
    INFO = "info", _("info")
    WARN = "warn", _("warning")
    ERROR = "error", _("error")


class LogEntry(models.Model):
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="logs")
    step_name = models.CharField(max_length=fields.STEP_NAME_LENGTH, null=True)
    level = models.CharField(max_length=5, choices=LogLevel.choices)
    message = models.TextField()
    data = models.JSONField(null=True)
    timestamp = models.DateTimeField()

    class Meta:
        app_label = "durably"
        verbose_name = _("log entry")
        verbose_name_plural = _("log entries")
        ordering = ["id"]
        indexes = [models.Index(fields=["run", "id"], name="durably_log_order")]

    def __str__(self) -> str:
        return f"{self.level}: {self.message}"
