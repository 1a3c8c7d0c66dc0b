"""A step: one try of one named piece of a run; a completed one is a checkpoint."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_durably import fields
from django_durably.models.run import Run


class StepStatus(models.TextChoices):
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


class Step(models.Model):
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    name = fields.KeyField(max_length=fields.STEP_NAME_LENGTH)
    index = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField(default=1)
    status = models.CharField(max_length=9, choices=StepStatus.choices)
    output = models.JSONField(null=True)
    error = models.TextField(null=True)
    started_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    lease_generation = models.PositiveIntegerField()
    worker = models.CharField(max_length=fields.WORKER_ID_LENGTH)

    class Meta:
        app_label = "durably"
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        ordering = ["index", "attempt"]
        constraints = [
            models.UniqueConstraint(fields=["run", "name", "attempt"], name="durably_step_try")
        ]
        indexes = [models.Index(fields=["run", "index"], name="durably_step_order")]

    def __str__(self) -> str:
        return f"{self.name} ({self.status})"
