"""The page of a run, and that every page asks a bounded number of questions."""

import re
from typing import Any

import pytest
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse

from django_durably import Run, StepContext, job
from django_durably.admin import OverviewAdmin, RunAdmin, RunsMixin
from django_durably.jobs import registry
from django_durably.models import Overview
from django_durably.testing import run_job
from tests.admin.addresses import OVERVIEW, RUNS, TRIGGER, page_of
from tests.testapp.jobs import add_in_steps, echo, fail

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"&"
)


def test_shows_steps_output_logs_and_events(admin: Client) -> None:
    run = run_job(add_in_steps, [1, 20, 300], labels={"org": "7"})
    html = admin.get(page_of(run)).content.decode()
    for text in ("add-0", "add-2", "321", "org=7", "run:complete", "3 steps done"):
        assert text in html, text


def test_shows_where_and_why_it_failed(admin: Client) -> None:
    with registry.isolated():

        @job("breaks")
        def breaks(step: StepContext) -> None:
            step.run("prepare", int)
            step.run("divide", lambda: 1 / 0)

        html = admin.get(page_of(run_job(breaks))).content.decode()
    assert "Failed in step divide" in html
    assert "division by zero" in html
    assert "Traceback (most recent call last)" in html


def test_says_why_a_run_waits(admin: Client) -> None:
    assert b"No worker is alive." in admin.get(page_of(echo.trigger({}))).content


def test_filters_the_log_by_level(admin: Client) -> None:
    with registry.isolated():

        @job("talks")
        def talks(step: StepContext) -> None:
            diary = step.log
            diary.info("all fine here")
            diary.error("not at all", {"n": 1})

        run = run_job(talks)
    assert b"all fine here" in admin.get(page_of(run)).content
    only = re.sub(
        r"(?s)data-key=.events.*", "", admin.get(page_of(run) + "?level=error").content.decode()
    )
    assert "not at all" in only
    assert "all fine here" not in only


def test_links_related_runs(admin: Client) -> None:
    first = run_job(fail, "x", concurrency_key="k")
    second = first.retrigger()
    assert page_of(second) in admin.get(page_of(first)).content.decode()
    assert page_of(first) in admin.get(page_of(second)).content.decode()


def test_pages_through_many_steps(admin: Client) -> None:
    run = run_job(add_in_steps, [1] * 130)
    newest = admin.get(page_of(run)).context
    assert [step.name for step in newest["steps"]] == [f"add-{n}" for n in range(30, 130)]
    earlier = admin.get(f"{page_of(run)}?steps_before={newest['earlier_steps']}").context
    assert [step.name for step in earlier["steps"]] == [f"add-{n}" for n in range(30)]


def test_downloads_values(admin: Client) -> None:
    run = run_job(add_in_steps, [1, 2])
    address = reverse("admin:durably_run_value", args=[run.pk])
    assert admin.get(f"{address}?of=input").json() == [1, 2]
    assert admin.get(f"{address}?of=output").json() == 3
    step = run.steps.get(name="add-1")
    assert admin.get(f"{address}?step={step.pk}").json() == 3


@pytest.mark.parametrize("run_id", ["nothing", "01a20512-0000-7000-8000-000000000000"])
def test_a_run_that_is_not_there(admin: Client, run_id: str) -> None:
    answer = admin.get(reverse("admin:durably_run_change", args=[run_id]), follow=True)
    assert b"does not exist" in answer.content


def hostile_run() -> Run:
    with registry.isolated():

        @job("hostile" + HOSTILE)
        def hostile(step: StepContext, input: Any) -> Any:
            """Harmless."""
            step.run("good" + HOSTILE, lambda: {HOSTILE: [HOSTILE]})
            diary = step.log
            diary.warn(HOSTILE, {HOSTILE: HOSTILE})
            step.progress(1, 2, HOSTILE)
            step.run("bad" + HOSTILE, _fail)

        return run_job(
            hostile,
            {HOSTILE: HOSTILE},
            labels={"org": HOSTILE},
            concurrency_key=HOSTILE,
            idempotency_key=HOSTILE,
        )


def _fail() -> None:
    raise RuntimeError(HOSTILE)


def test_escapes_what_jobs_say(admin: Client) -> None:
    run = hostile_run()
    for address in (RUNS, f"{RUNS}?q=owned", page_of(run), OVERVIEW):
        html = admin.get(address).content.decode()
        assert "<script>document" not in html, address
        assert "<img src=x" not in html, address
    assert "&lt;script&gt;document" in admin.get(page_of(run)).content.decode()


@pytest.mark.parametrize(("address", "most"), [(RUNS, 20), (OVERVIEW, 28), (TRIGGER, 6)])
def test_questions_do_not_grow_with_the_rows(admin: Client, address: str, most: int) -> None:
    def ask() -> int:
        with CaptureQueriesContext(connection) as queries:
            admin.get(address)
        return len(queries)

    run_job(add_in_steps, [1], labels={"a": "1"})
    ask()
    few = ask()
    for number in range(12):
        run_job(fail, "x", labels={"a": "1", f"b{number}": "2"})
        echo.trigger({})
    assert few <= most
    assert ask() <= most


def test_questions_of_a_run_do_not_grow_with_it(admin: Client) -> None:
    for numbers in ([1], [1] * 40):
        run = run_job(add_in_steps, numbers, concurrency_key="k")
        with CaptureQueriesContext(connection) as queries:
            admin.get(page_of(run))
        assert len(queries) <= 16


site = AdminSite(name="staff")
site.register(Run, RunAdmin)
site.register(Overview, OverviewAdmin)
urlpatterns = [path("staff/", site.urls)]


@pytest.mark.urls("tests.admin.test_run")
def test_works_in_a_site_of_ones_own(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    run = run_job(add_in_steps, [1])
    addresses = ["/staff/", "/staff/durably/run/", "/staff/durably/overview/"]
    for address in (
        *addresses,
        f"/staff/durably/run/{run.pk}/change/",
        "/staff/durably/run/trigger/",
    ):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert b'"/admin/' not in answer.content


def test_an_object_shows_its_runs(admin: Client) -> None:
    class UserAdmin(RunsMixin, ModelAdmin):  # type: ignore[type-arg]
        fields = ["username"]

    user = User.objects.get()
    run = echo.trigger({}, labels={"user": str(user.pk)})
    other = echo.trigger({}, labels={"user": "0"})
    request = RequestFactory().get("/")
    request.user = User.objects.create_superuser("root")
    page = UserAdmin(User, site).change_view(request, str(user.pk))
    page.render()  # type: ignore[attr-defined]
    html = page.content.decode()
    assert page_of(run) in html
    assert page_of(other) not in html
    assert "durably/admin/durably.js" in html
