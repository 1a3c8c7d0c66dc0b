"""Cancel, retrigger and delete: one run or many, confirmed, through the verbs, into the history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_durably.admin.listing import Listing
from django_durably.exceptions import DurablyError
from django_durably.models import Run
from django_durably.operations import control

if TYPE_CHECKING:
    from django_durably.admin.run import RunAdmin

MOST: Final = 1000
"""How many runs one action is done to at most."""
SHOWN: Final = 20


@dataclass(frozen=True)
class Action:
    """Something to do to runs. `act` returns the run to go to afterwards, if there is one."""

    permission: str
    title: Any
    button: Any
    flag: int
    act: Callable[[Run, str], Run | None]
    done: Callable[[int], str]


def _cancel(run: Run, who: str) -> Run:
    control.cancel(run)
    return run


def _retrigger(run: Run, who: str) -> Run:
    return control.retrigger(run, triggered_by=who)


def _delete(run: Run, who: str) -> None:
    control.delete(run)


ACTIONS: Final = {
    "cancel": Action(
        "cancel",
        gettext_lazy("Cancel runs"),
        gettext_lazy("Yes, cancel"),
        CHANGE,
        _cancel,
        lambda n: ngettext("Cancelled %d run.", "Cancelled %d runs.", n) % n,
    ),
    "retrigger": Action(
        "trigger",
        gettext_lazy("Retrigger runs"),
        gettext_lazy("Yes, retrigger"),
        CHANGE,
        _retrigger,
        lambda n: ngettext("Retriggered %d run.", "Retriggered %d runs.", n) % n,
    ),
    "delete": Action(
        "delete",
        gettext_lazy("Delete runs"),
        gettext_lazy("Yes, delete"),
        DELETION,
        _delete,
        lambda n: ngettext("Deleted %d run.", "Deleted %d runs.", n) % n,
    ),
}


@dataclass
class Report:
    """What an action did: how many, what it left alone and why, and where it leads."""

    done: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    last: Run | None = None

    def tell(self, request: HttpRequest, action: Action) -> None:
        if self.done:
            messages.success(request, action.done(self.done))
        for reason, count in self.skipped.most_common(5):
            text = ngettext(
                "Skipped %(count)d run: %(reason)s", "Skipped %(count)d runs: %(reason)s", count
            )
            messages.warning(request, text % {"count": count, "reason": reason})


def respond(admin: RunAdmin, request: HttpRequest) -> HttpResponse:
    """Ask for a confirmation, or act if it has been given; only for a POST."""
    name = request.POST.get("action", "")
    if name not in ACTIONS:
        messages.warning(request, _("Choose what to do with the selected runs."))
        return redirect(admin.url("changelist"))
    action = ACTIONS[name]
    admin.require(request, action.permission)
    ids = chosen_ids(admin, request)[:MOST]
    if not ids:
        messages.warning(request, _("Select the runs first."))
        return redirect(_list_url(admin, request))
    if request.POST.get("confirmed") != "yes":
        return _confirm(admin, request, name, ids)
    report = perform(admin, request, action, ids)
    report.tell(request, action)
    return redirect(_where_next(admin, request, name, report))


def chosen_ids(admin: RunAdmin, request: HttpRequest) -> list[UUID]:
    """The runs that a form names: by their ids, or all that its filters mean, the newest first."""
    if request.POST.get("all") == "yes":
        listing = Listing(QueryDict(request.POST.get("filters", "")), admin.get_queryset(request))
        return listing.ids(MOST)
    try:
        return [UUID(text) for text in ",".join(request.POST.getlist("ids")).split(",") if text]
    except ValueError:
        raise Http404 from None


def _confirm(admin: RunAdmin, request: HttpRequest, name: str, ids: list[UUID]) -> HttpResponse:
    heavy = ("input", "output", "error_traceback")
    found = list(
        admin.get_queryset(request).filter(pk__in=ids).defer(*heavy).order_by("-pk")[:SHOWN]
    )
    context = {
        "title": ACTIONS[name].title,
        "action": name,
        "button": ACTIONS[name].button,
        "ids": ids,
        # In one field: Django takes no more than 1,000 of them.
        "joined": ",".join(map(str, ids)),
        "shown": found,
        "hidden": max(0, len(ids) - len(found)),
        "next": request.POST.get("next", ""),
        "filters": request.POST.get("filters", ""),
    }
    return admin.render(request, "confirm.html", context)


def perform(admin: RunAdmin, request: HttpRequest, action: Action, ids: list[UUID]) -> Report:
    """Do it to each of these runs, as the user of the request, and write the history."""
    who = request.user.get_username()
    report = Report()
    missing = set(ids)
    found = admin.get_queryset(request).filter(pk__in=ids).order_by("pk")
    for run in found.defer("output", "error_traceback"):
        missing.discard(run.pk)
        name = str(run)
        try:
            report.last = action.act(run, who)
        except DurablyError as error:
            report.skipped[str(error)] += 1
            continue
        report.done += 1
        record(request, run.pk, name, action.flag, _words(action, report.last))
    if missing:
        report.skipped[_("It no longer exists")] += len(missing)
    return report


def _words(action: Action, result: Run | None) -> str:
    if action is ACTIONS["retrigger"] and result is not None:
        return f"Retriggered as {result.pk}."
    return {"cancel": "Cancelled.", "delete": "Deleted."}[action.permission]


def record(request: HttpRequest, run_id: UUID, name: str, flag: int, message: str) -> None:
    """Write into the admin's history who did what to which run."""
    LogEntry.objects.create(
        user_id=request.user.pk or 0,
        content_type=ContentType.objects.get_for_model(Run),
        object_id=str(run_id),
        object_repr=name[:200],
        action_flag=flag,
        change_message=message,
    )


def _list_url(admin: RunAdmin, request: HttpRequest) -> str:
    filters = QueryDict(request.POST.get("filters", "")).urlencode()
    return admin.url("changelist") + (f"?{filters}" if filters else "")


def _where_next(admin: RunAdmin, request: HttpRequest, name: str, report: Report) -> str:
    if request.POST.get("next") == "run" and report.last is not None:
        return admin.url("change", report.last.pk)
    return _list_url(admin, request)
