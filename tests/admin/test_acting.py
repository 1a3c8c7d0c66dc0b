"""Actions on one run and on many, permissions, history and export."""

import json
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from django_durably import Run, clock
from django_durably.admin import acting
from django_durably.testing import run_job
from tests.admin.addresses import ACT, EXPORT, OVERVIEW, RUNS, TRIGGER, history_of, page_of
from tests.admin.conftest import Login
from tests.storage.making import statuses
from tests.testapp.jobs import add_in_steps, echo, fail


def act(client: Client, action: str, *runs: Run, **more: str) -> str:
    """What the page says after a confirmed action."""
    data = {"action": action, "confirmed": "yes", "ids": [str(run.pk) for run in runs], **more}
    answer = client.post(ACT, data, follow=True)
    assert answer.status_code == 200
    return " ".join(str(message) for message in answer.context["messages"])


def test_asks_before_it_acts(admin: Client) -> None:
    run = echo.trigger({})
    answer = admin.post(ACT, {"action": "cancel", "ids": [str(run.pk)]})
    assert b"Yes, cancel" in answer.content
    assert statuses(run) == ["pending"]


def test_cancels_what_is_active_and_says_why_not_the_rest(admin: Client) -> None:
    active, ended = echo.trigger({}), run_job(add_in_steps, [1])
    said = act(admin, "cancel", active, ended)
    assert statuses(active, ended) == ["cancelled", "completed"]
    assert said == "Cancelled 1 run. Skipped 1 run: Run is already completed"


def test_retriggers_and_remembers_who(admin: Client) -> None:
    failed, active = run_job(fail, "x"), echo.trigger({})
    said = act(admin, "retrigger", failed, active)
    fresh = Run.objects.get(retriggered_from=failed.pk)
    assert (fresh.status, fresh.input, fresh.triggered_by) == ("pending", "x", "ada")
    assert said == "Retriggered 1 run. Skipped 1 run: Run is still pending"


def test_deletes_what_has_ended(admin: Client) -> None:
    failed, active = run_job(fail, "x"), echo.trigger({})
    said = act(admin, "delete", failed, active)
    assert list(Run.objects.all()) == [active]
    assert said == "Deleted 1 run. Skipped 1 run: Run is still pending"


def test_a_single_action_leads_to_the_run(admin: Client) -> None:
    failed = run_job(fail, "x")
    data = {"action": "retrigger", "confirmed": "yes", "ids": str(failed.pk), "next": "run"}
    answer = admin.post(ACT, data)
    assert answer["Location"] == page_of(Run.objects.get(retriggered_from=failed.pk))


def test_acts_on_all_that_the_filters_mean(admin: Client) -> None:
    runs = [echo.trigger({}, labels={"org": "1"}) for _ in range(3)]
    other = echo.trigger({})
    act(admin, "cancel", all="yes", filters="label=org%3D1")
    assert statuses(*runs, other) == ["cancelled"] * 3 + ["pending"]


def test_as_many_as_are_allowed_pass_the_confirmation(admin: Client) -> None:
    runs = [Run(pk=clock.uuid7(), job_name="echo") for _ in range(acting.MOST + 5)]
    Run.objects.bulk_create(runs)
    asked = admin.post(ACT, {"action": "cancel", "all": "yes"})
    fields = re.findall(r'name="ids" value="([^"]+)"', asked.content.decode())
    assert len(fields) == 1
    data = {"action": "cancel", "confirmed": "yes", "ids": fields}
    admin.post(ACT, data)
    assert Run.objects.filter(status="cancelled").count() == acting.MOST


def test_what_was_deleted_meanwhile_is_told(admin: Client) -> None:
    run = run_job(add_in_steps, [1])
    act(admin, "delete", run)
    assert act(admin, "delete", run) == "Skipped 1 run: It no longer exists"


def test_is_in_the_history(admin: Client) -> None:
    run = echo.trigger({})
    act(admin, "cancel", run)
    [entry] = LogEntry.objects.all()
    assert (entry.object_id, entry.change_message) == (str(run.pk), "Cancelled.")
    assert b"Cancelled." in admin.get(history_of(run)).content


@pytest.mark.parametrize("action", ["cancel", "retrigger", "delete"])
def test_nothing_without_its_permission(login: Login, action: str) -> None:
    run = echo.trigger({}) if action == "cancel" else run_job(fail, "x")
    before = list(Run.objects.values())
    client = login("view")
    data = {"action": action, "confirmed": "yes", "ids": str(run.pk)}
    assert client.post(ACT, data).status_code == 403
    assert list(Run.objects.values()) == before


@pytest.mark.parametrize("address", [ACT, EXPORT])
def test_nothing_on_get(admin: Client, address: str) -> None:
    run = echo.trigger({})
    answer = admin.get(address, {"action": "cancel", "confirmed": "yes", "ids": str(run.pk)})
    assert answer.status_code == 405
    assert statuses(run) == ["pending"]


def test_no_action_without_a_csrf_token(login: Login) -> None:
    client = login("view", "cancel", "trigger")
    client.handler.enforce_csrf_checks = True
    run = echo.trigger({})
    data = {"action": "cancel", "confirmed": "yes", "ids": str(run.pk)}
    assert client.post(ACT, data).status_code == 403
    assert client.post(f"{TRIGGER}?job=echo", {"input-whole": "{}"}).status_code == 403
    assert statuses(run) == ["pending"]


def test_viewers_see_no_button_that_would_refuse_them(login: Login) -> None:
    run = run_job(fail, "x")
    client = login("view")
    for address in (RUNS, page_of(run), OVERVIEW):
        html = client.get(address).content.decode()
        assert 'value="cancel"' not in html
        assert 'value="retrigger"' not in html
        assert 'value="delete"' not in html
        assert TRIGGER not in html


def test_nobody_sees_anything_without_view(login: Login) -> None:
    run = run_job(fail, "x")
    client = login("trigger", "cancel", "delete")
    for address in (RUNS, page_of(run), OVERVIEW, TRIGGER):
        assert client.get(address).status_code == 403, address
    assert b"durably" not in client.get("/admin/").content


def test_strangers_are_asked_to_log_in(db: None) -> None:
    for address in (RUNS, OVERVIEW, TRIGGER):
        answer = Client().get(address)
        assert answer.status_code == 302
        assert "login" in answer["Location"]


def test_exports_the_selection(login: Login) -> None:
    first, second = run_job(add_in_steps, [1, 2]), run_job(fail, "=1+1")
    echo.trigger({})
    client, ids = login("view"), [str(first.pk), str(second.pk)]
    rows = json.loads(client.post(EXPORT, {"ids": ids, "format": "json"}).content)
    assert [row["id"] for row in rows] == [str(second.pk), str(first.pk)]
    assert rows[1]["output"] == 3
    text = client.post(EXPORT, {"ids": ids, "format": "csv"}).content.decode()
    assert text.splitlines()[0].startswith("id,jobName,status")
    assert ",'=1+1," in text
