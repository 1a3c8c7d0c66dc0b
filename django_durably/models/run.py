"""A run: one request to execute a job, and all that is known of it."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext_lazy as _

from django_durably import clock, fields

if TYPE_CHECKING:
    from django_durably import events as facts
    from django_durably.models.log import LogEntry


class RunStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    LEASED = "leased", _("leased")
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


ACTIVE = (RunStatus.PENDING, RunStatus.LEASED)
TERMINAL = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


class RunQuerySet(models.QuerySet["Run"]):
    """Runs, with the filters that people ask for."""

    def for_job(self, name: str) -> Self:
        return self.filter(job_name=name)

    def with_labels(self, **labels: str) -> Self:
        """Runs that carry every one of these labels. Pass ``**{"a/b": "c"}`` for other keys."""
        runs = self
        for key, value in labels.items():
            runs = runs.filter(
                pk__in=RunLabel.objects.using(self.db).filter(key=key, value=value).values("run")
            )
        return runs

    def active(self) -> Self:
        return self.filter(status__in=ACTIVE)

    def terminal(self) -> Self:
        return self.filter(status__in=TERMINAL)

    def purge(self, older_than: timedelta, limit: int | None = None) -> int:
        """Delete terminal runs of this queryset that ended longer ago than ``older_than``.

        At most ``limit`` of them, the oldest first, in batches of one transaction each, without
        events or signals. Returns how many were deleted.
        """
        from django_durably.operations import control

        return control.purge(self, older_than, limit)


class Run(models.Model):
    """One execution of a job."""

    id = models.UUIDField(primary_key=True, default=clock.uuid7, editable=False)
    job_name = fields.KeyField(max_length=fields.JOB_NAME_LENGTH)
    status = models.CharField(
        max_length=9, choices=RunStatus.choices, default=RunStatus.PENDING.value
    )
    input = models.JSONField(null=True)
    output = models.JSONField(null=True)
    error = models.TextField(null=True)
    error_traceback = models.TextField(null=True)
    current_step_index = models.PositiveIntegerField(default=0)
    completed_step_count = models.PositiveIntegerField(default=0)
    progress = models.JSONField(null=True)
    labels = models.JSONField(default=dict)

    idempotency_key = fields.KeyField(max_length=fields.KEY_LENGTH, null=True)
    concurrency_key = fields.KeyField(max_length=fields.KEY_LENGTH, null=True)
    # Set while the key is held by another run: claims do not look at the run until it is freed.
    blocked = models.BooleanField(default=False)

    lease_owner = models.CharField(max_length=fields.WORKER_ID_LENGTH, null=True)
    lease_expires_at = models.DateTimeField(null=True)
    lease_generation = models.PositiveIntegerField(default=0)
    crashes = models.PositiveIntegerField(default=0)

    retriggered_from = models.UUIDField(null=True)
    triggered_by = models.CharField(max_length=255, null=True)

    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    # The database itself refuses a second waiting run of a job and key, and a second leased run
    # of a key. Never read these two from an instance: they are stale after save() on Django 5.2.
    waiting_key = models.GeneratedField(
        expression=Case(
            When(Q(status="pending", started_at__isnull=True), then=F("concurrency_key")),
            default=Value(None),
        ),
        output_field=fields.KeyField(max_length=fields.KEY_LENGTH, null=True),
        db_persist=True,
        editable=False,
    )
    leased_key = models.GeneratedField(
        expression=Case(When(Q(status="leased"), then=F("concurrency_key")), default=Value(None)),
        output_field=fields.KeyField(max_length=fields.KEY_LENGTH, null=True),
        db_persist=True,
        editable=False,
    )

    objects = RunQuerySet.as_manager()

    # How the call that returned this instance got it: "created", "idempotent" or "coalesced".
    disposition: str = "created"

    class Meta:
        app_label = "durably"
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        permissions = [("trigger_run", "Can trigger run"), ("cancel_run", "Can cancel run")]
        constraints = [
            models.UniqueConstraint(
                fields=["job_name", "idempotency_key"], name="durably_run_idempotency"
            ),
            models.UniqueConstraint(fields=["job_name", "waiting_key"], name="durably_run_waiting"),
            models.UniqueConstraint(fields=["leased_key"], name="durably_run_leased"),
        ]
        indexes = [
            fields.PartialIndex(
                # By time, not by id alone: no index of finished runs can serve that order, so that
                # no statistics can mislead a planner into walking through them.
                fields=["job_name", "created_at", "id"],
                condition=Q(status="pending", blocked=False),
                instead=["status", "blocked"],
                name="durably_run_claim",
            ),
            fields.PartialIndex(
                fields=["concurrency_key"],
                condition=Q(status="pending", blocked=True),
                instead=["status", "blocked"],
                name="durably_run_blocked",
            ),
            models.Index(
                fields=["lease_expires_at"], condition=Q(status="leased"), name="durably_run_lease"
            ),
            models.Index(fields=["job_name", "id"], name="durably_run_job"),
            models.Index(
                fields=["status", "completed_at"],
                condition=Q(completed_at__isnull=False),
                name="durably_run_completed",
            ),
            # For people, and partial: an ordinary run that completes is in none of these.
            models.Index(
                fields=["status", "id"],
                condition=Q(status__in=["failed", "cancelled"]),
                name="durably_run_ended_badly",
            ),
            models.Index(
                fields=["retriggered_from"],
                condition=Q(retriggered_from__isnull=False),
                name="durably_run_retriggered",
            ),
            models.Index(
                fields=["concurrency_key", "id"],
                condition=Q(concurrency_key__isnull=False),
                name="durably_run_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_name} {self.pk} ({self.status})"

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    def cancel(self) -> None:
        """Cancel this pending or leased run; its worker is told at once.

        Raises ConflictError when it is terminal, NotFoundError when it is gone.
        """
        from django_durably.operations import control

        control.cancel(self)

    async def acancel(self) -> None:
        from django_durably.operations import control

        await control.acancel(self)

    def retrigger(self) -> "Run":
        """A fresh run with the input, labels and concurrency key of this terminal one.

        Raises ConflictError when this run is active or a run of its key already waits,
        ValidationError when today's schema refuses the input, NotFoundError when the job or this
        run is gone.
        """
        from django_durably.operations import control

        return control.retrigger(self)

    async def aretrigger(self) -> "Run":
        from django_durably.operations import control

        return await control.aretrigger(self)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete this terminal run with its steps, logs and labels.

        Raises ConflictError when it is active, NotFoundError when it is gone. Returns what
        Django's ``delete`` returns: how many rows went, in all and per model.
        """
        from django_durably.operations import control

        return control.delete(self)

    async def adelete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        from django_durably.operations import control

        return await control.adelete(self)

    def wait(
        self,
        timeout: float | None = None,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        on_log: Callable[["LogEntry"], None] | None = None,
    ) -> "Run":
        """Wait until this run has ended and return it, refreshed, when it completed.

        ``timeout`` is in seconds, None for ever. Raises RunFailed, RunCancelled, WaitTimeout,
        or NotFoundError when the run is deleted meanwhile.
        """
        from django_durably.operations import waiting

        return waiting.wait(self, timeout, on_progress, on_log)

    async def await_result(
        self,
        timeout: float | None = None,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        on_log: Callable[["LogEntry"], None] | None = None,
    ) -> "Run":
        """The async twin of ``wait``."""
        from django_durably.operations import waiting

        return await waiting.await_result(self, timeout, on_progress, on_log)

    def events(
        self, after: int | None = None, timeout: float | None = None
    ) -> "Iterator[facts.Event]":
        """Follow this run live, from any process, until its terminal event.

        The present state comes first: ``run:leased`` and the last progress while it executes, the
        terminal event when it has ended. ``after`` is the ``sequence`` of the last event known:
        what came later is sent instead, as far as the log still has it (``EVENT_RETENTION``).
        Raises WaitTimeout after ``timeout`` seconds, NotFoundError when the run is gone.
        """
        from django_durably.operations import following

        return following.events(self, after, timeout)

    def aevents(
        self, after: int | None = None, timeout: float | None = None
    ) -> "AsyncIterator[facts.Event]":
        """The async twin of ``events``: ``async for event in run.aevents()``."""
        from django_durably.operations import following

        return following.aevents(self, after, timeout)


class RunLabel(models.Model):
    """One label of a run, in a row of its own so that every database can filter by it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="label_rows")
    key = fields.KeyField(max_length=fields.LABEL_KEY_LENGTH)
    value = fields.KeyField(max_length=fields.LABEL_VALUE_LENGTH)

    class Meta:
        app_label = "durably"
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="durably_label_key")]
        indexes = [models.Index(fields=["key", "value", "run"], name="durably_label_value")]

    def __str__(self) -> str:
        return f"{self.key}={self.value}"
