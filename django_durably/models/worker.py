"""Who is alive. For people to look at: leases do not depend on it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_durably import fields


class Worker(models.Model):
    id = models.CharField(primary_key=True, max_length=fields.WORKER_ID_LENGTH)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=32)
    concurrency = models.PositiveIntegerField()
    busy = models.PositiveIntegerField(default=0)
    jobs = models.JSONField(default=list)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField(db_index=True)

    class Meta:
        app_label = "durably"
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.id
