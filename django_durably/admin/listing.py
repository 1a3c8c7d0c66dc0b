"""The run list's questions to the database: filters, search, pages by cursor, capped counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.db.models import Q
from django.db.models.functions import Left
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_durably import labels
from django_durably.exceptions import ValidationError
from django_durably.jobs import registry
from django_durably.models import Run, RunLabel, RunQuerySet, RunStatus, Worker
from django_durably.storage import database, distinct
from django_durably.storage.queries import RunFilter

PAGE: Final = 50
COUNT_UP_TO: Final = 10_001
SEARCHED_FAILURES: Final = 10_000
"""How many of the newest failed runs the search reads for a text in their errors."""
# What a row does not show, and may be large.
_HEAVY: Final = ("input", "output", "error", "error_traceback")


def runs() -> RunQuerySet:
    """All runs, on the database that holds them."""
    return Run.objects.using(database.connection().alias)


class FilterForm(forms.Form):
    """What may be asked of the list. Every field is optional."""

    q = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": _("Id, key, label or error")}
        ),
    )
    job = forms.CharField(label=_("Job"), required=False, max_length=255)
    label = forms.CharField(
        label=_("Label"),
        required=False,
        max_length=320,
        widget=forms.TextInput(attrs={"placeholder": "key=value"}),
    )
    worker = forms.CharField(label=_("Worker"), required=False, max_length=255)
    since = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data, auto_id="durably-%s", use_required_attribute=False, label_suffix="")
        jobs = sorted({*registry.names(), *distinct.job_names()})
        alive = Worker.objects.using(database.connection().alias).values_list("pk", flat=True)
        self._choose("job", _("All jobs"), jobs)
        self._choose("worker", _("Any worker"), alive.order_by("pk")[: distinct.MOST])
        self.jobs = jobs

    def _choose(self, name: str, nothing: Any, values: Iterable[str]) -> None:
        choices = [("", nothing), *((value, value) for value in values)]
        chosen = self.data.get(name, "")
        if chosen and chosen not in dict(choices):
            choices.append((chosen, chosen))
        self.fields[name].widget = forms.Select(choices=choices)

    def clean_label(self) -> dict[str, str]:
        text = self.cleaned_data["label"].strip()
        if not text:
            return {}
        key, equals, value = text.partition("=")
        if not equals:
            raise forms.ValidationError(_("Write a label as key=value."))
        return checked_labels({key.strip(): value.strip()})


def checked_labels(found: dict[str, str]) -> dict[str, str]:
    """These labels; a Django error for people when they cannot be labels."""
    try:
        return labels.check(found)
    except ValidationError as error:
        raise forms.ValidationError(str(error)) from error


@dataclass
class Listing:
    """One page of the list: ``rows``, the cursors around it, and counts where they are cheap."""

    data: QueryDict
    base: RunQuerySet = field(default_factory=runs)

    def __post_init__(self) -> None:
        self.form = FilterForm(self.data)
        self.form.is_valid()
        self.values = self.form.cleaned_data
        status = self.data.get("status", "")
        self.status = status if status in RunStatus.values else ""
        self.search = str(self.values.get("q") or "").strip().replace("\0", "")

    @property
    def is_filtered(self) -> bool:
        return any(value for value in self.values.values())

    def matching(self, *, status: bool = True) -> RunQuerySet:
        """The runs that the filters mean, apart from the search."""
        values = self.values
        found = RunFilter().with_labels(**(values.get("label") or {})).apply(self.base)
        if status and self.status:
            found = with_status(found, self.status)
        if values.get("job"):
            found = found.filter(job_name=values["job"])
        if values.get("worker"):
            found = found.filter(status=RunStatus.LEASED, lease_owner=values["worker"])
        if values.get("since"):
            found = found.filter(pk__gte=first_id_of(midnight(values["since"])))
        if values.get("until"):
            found = found.filter(pk__lt=first_id_of(midnight(values["until"] + timedelta(days=1))))
        return found

    def load(self) -> None:
        """Read the page: ``rows``, ``older`` and ``newer`` (query strings, or "")."""
        before, after = self._cursor("before"), self._cursor("after")
        ids = self._page(before, after)
        more = len(ids) > PAGE
        ids = sorted(ids[:PAGE], reverse=True)
        self.rows = self._rows(ids)
        self.has_cursor = bool(before or after)
        self.older = self._link("before", ids[-1]) if ids and (more or after) else ""
        self.newer = self._link("after", ids[0]) if ids and (before or (after and more)) else ""

    def _rows(self, ids: list[UUID]) -> list[Run]:
        found = self.base.filter(pk__in=ids).defer(*_HEAVY)
        return list(found.annotate(error_start=Left("error", 200)).order_by("-pk"))

    def _page(self, before: UUID | None, after: UUID | None) -> list[UUID]:
        """One id more than a page holds, nearest to the cursor first."""
        order = "pk" if after else "-pk"
        found: set[UUID] = set()
        side = Q(pk__gt=after) if after else Q(pk__lt=before) if before else Q()
        for part in self._parts():
            ids = part.filter(side).order_by(order).values_list("pk", flat=True)
            found.update(ids[: PAGE + 1])
        return sorted(found, reverse=not after)[: PAGE + 1]

    def _parts(self) -> list[RunQuerySet]:
        """Querysets whose union is what is asked for; each has an index of its own."""
        matching = self.matching()
        if not self.search:
            return [matching]
        return [matching.filter(part) for part in search_parts(self.search, self.form.jobs)]

    def _cursor(self, name: str) -> UUID | None:
        try:
            return UUID(self.data.get(name, ""))
        except ValueError:
            return None

    def _link(self, name: str, run_id: UUID) -> str:
        return "?" + urlencode([*self.pairs(), (name, str(run_id))])

    def pairs(self, *without: str) -> list[tuple[str, str]]:
        """The filters as parameters, without cursors."""
        left_out = {"before", "after", *without}
        return [(k, str(v)) for k, v in self.data.items() if v and k not in left_out]

    def link(self, **changes: str) -> str:
        """The address of this list with other filters, from its first page."""
        pairs = [*self.pairs(*changes), *((k, v) for k, v in changes.items() if v)]
        return "?" + urlencode(pairs)

    def ids(self, limit: int) -> list[UUID]:
        """The newest runs that match, search and all."""
        found: set[UUID] = set()
        for part in self._parts():
            found.update(part.order_by("-pk").values_list("pk", flat=True)[:limit])
        return sorted(found, reverse=True)[:limit]

    def tabs(self) -> list[dict[str, Any]]:
        """The statuses, each with its capped count where nothing else is filtered."""
        counts = {} if self.is_filtered else count_by_status(self.base)
        everything = sum(counts.values()) if counts else None
        tabs = [{"value": "", "label": _("All"), "count": everything, "link": self.link(status="")}]
        tabs += [
            {
                "value": value,
                "label": label,
                "count": counts.get(value),
                "link": self.link(status=value),
            }
            for value, label in RunStatus.choices
        ]
        return tabs


def with_status(found: RunQuerySet, status: str) -> RunQuerySet:
    """In the words of the partial indexes, which are used for nothing else."""
    if status == RunStatus.PENDING:
        free = Q(status=RunStatus.PENDING, blocked=False)
        return found.filter(free | Q(status=RunStatus.PENDING, blocked=True))
    if status == RunStatus.COMPLETED:
        return found.filter(status=status, completed_at__isnull=False)
    return found.filter(status=status)


def count_by_status(base: RunQuerySet) -> dict[str, int]:
    """How many runs there are in each status; 10,001 means more than 10,000."""
    return {status: _count(with_status(base, status), status) for status in RunStatus.values}


def _count(found: RunQuerySet, status: str) -> int:
    if status == RunStatus.COMPLETED:
        # In an order, or PostgreSQL reads the table itself until it has found enough.
        return found.order_by("-completed_at").values("completed_at")[:COUNT_UP_TO].count()
    return found.order_by()[:COUNT_UP_TO].count()


def midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def first_id_of(moment: datetime) -> UUID:
    """The smallest id that a run of this moment can have: ids begin with their milliseconds."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def search_parts(text: str, jobs: list[str]) -> list[Q]:
    """A condition for each place in which this text is searched."""
    parts = [Q(job_name__in=jobs, idempotency_key=text)]
    if (ids := ids_like(text)) is not None:
        parts.append(Q(pk__gte=ids[0], pk__lte=ids[1]))
    parts.append(Q(pk__in=_labelled(text)))
    if (oldest := _oldest_failure_searched()) is not None:
        parts.append(Q(status=RunStatus.FAILED, pk__gte=oldest, error__icontains=text))
    return parts


def ids_like(text: str) -> tuple[UUID, UUID] | None:
    """The first and the last id that begin with this text; None when none can."""
    digits = text.replace("-", "").lower()
    if not 6 <= len(digits) <= 32 or not set(digits) <= set("0123456789abcdef"):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _labelled(text: str) -> Any:
    """The runs with this label, `key=value`, or with this value under any key."""
    rows = RunLabel.objects.using(database.connection().alias)
    key, equals, value = text.partition("=")
    if equals:
        return rows.filter(key=key.strip(), value=value.strip()).values("run")
    return rows.filter(key__in=distinct.label_keys(), value=text).values("run")


def _oldest_failure_searched() -> UUID | None:
    failed = runs().filter(status=RunStatus.FAILED).order_by("-pk").values_list("pk", flat=True)
    at_limit = failed[SEARCHED_FAILURES - 1 : SEARCHED_FAILURES].first()
    return at_limit or runs().order_by("pk").values_list("pk", flat=True).first()
