"""The append-only log of everything that is streamed."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_durably import fields


class Event(models.Model):
    """A recorded event. It names its run without a foreign key: it outlives it."""

    run_id = models.UUIDField()
    job_name = fields.KeyField(max_length=fields.JOB_NAME_LENGTH)
    type = models.CharField(max_length=20)
    payload = models.JSONField()
    labels = models.JSONField()
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        app_label = "durably"
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["id"]
        indexes = [models.Index(fields=["run_id", "id"], name="durably_event_run")]

    def __str__(self) -> str:
        return f"{self.type} {self.run_id}"
