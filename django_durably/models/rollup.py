"""Sums of finished runs, minute by minute, which outlive the runs: what charts are drawn from."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_durably import fields
from django_durably.models.run import Run, RunStatus

ALL_JOBS = ""
"""The job name of the rows that sum over all jobs."""

MINUTE = 60
QUARTER = 900


class Rollup(models.Model):
    """How many runs of a job ended in a status in one span of time, how long they took and waited.

    ``start`` begins a span of ``seconds``: a minute, or a quarter of an hour. The histograms map
    the number of a bucket (``storage.histograms``) to how many runs fell into it.
    """

    job_name = fields.KeyField(max_length=fields.JOB_NAME_LENGTH)
    seconds = models.PositiveSmallIntegerField()
    start = models.DateTimeField()
    status = models.CharField(max_length=9, choices=RunStatus.choices)
    count = models.PositiveIntegerField()
    total_duration = models.FloatField()
    durations = models.JSONField(default=dict)
    waits = models.JSONField(default=dict)
    updated_at = models.DateTimeField()

    class Meta:
        app_label = "durably"
        default_permissions = ()
        verbose_name = _("rollup")
        verbose_name_plural = _("rollups")
        constraints = [
            models.UniqueConstraint(
                fields=["seconds", "start", "job_name", "status"], name="durably_rollup_span"
            )
        ]

    def __str__(self) -> str:
        return f"{self.job_name or 'all jobs'} {self.start:%Y-%m-%d %H:%M} ({self.status})"


class Overview(Run):
    """No table of its own: the place of the overview in the admin's index."""

    class Meta:
        app_label = "durably"
        proxy = True
        default_permissions = ()
        verbose_name = _("overview")
        verbose_name_plural = _("overview")
