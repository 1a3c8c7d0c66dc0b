"""`{% durably_run %}` and `{% durably_runs %}` as the server renders them."""

import html
import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory
from django.urls import NoReverseMatch, include, path, set_script_prefix
from django.utils import translation

from django_durably import clock
from django_durably.access import DjangoPermissions, RunFilter
from django_durably.exceptions import ValidationError
from django_durably.http.api import DurablyAPI
from django_durably.models import Event, LogEntry, Run, Step
from django_durably.storage.following import LOOK_BACK, follow
from django_durably.templatetags.widgets import mount


class OnlyOne(DjangoPermissions):
    """Whoever may see runs sees those of organisation 1."""

    def scope_runs(self, context: Any, filter: RunFilter) -> RunFilter:
        return super().scope_runs(context, filter).with_labels(org="1")


urlpatterns = [
    path("api/durably/", include("django_durably.urls")),
    path("one/", DurablyAPI(OnlyOne(), name="one").urls),
    path("runs/<uuid:run_id>/", lambda request, run_id: HttpResponse(), name="run"),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

API = "/api/durably"


def make_run(**values: Any) -> Run:
    labels = values.setdefault("labels", {})
    run = Run.objects.create(**{"job_name": "import", "input": {}, **values})
    for key, value in labels.items():
        run.label_rows.create(key=key, value=value)
    return run


def make_step(run: Run, name: str, **values: Any) -> Step:
    now = clock.now()
    took = {"started_at": now - timedelta(milliseconds=values.pop("took", 0)), "completed_at": now}
    fields = {"index": run.steps.count(), "status": "completed", "lease_generation": 1, **took}
    return Step.objects.create(run=run, name=name, **{**fields, **values})


def make_event(run: Run, type: str = "log:write") -> Event:
    now = clock.now()
    names = {"run_id": run.pk, "job_name": run.job_name, "type": type, "labels": run.labels}
    return Event.objects.create(**names, payload={}, created_at=now)


def request_of(*permissions: str) -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = User.objects.create_user("somebody")
    granted = Permission.objects.filter(codename__in=permissions)
    request.user.user_permissions.set(granted)
    return request


def render(tag: str, **context: Any) -> str:
    return Template("{% load durably %}" + tag).render(Context(context))


def attribute(page: str, name: str) -> str:
    found = re.search(rf' {name}="([^"]*)"', page)
    assert found, f"no {name} in {page}"
    return html.unescape(found[1])


def part(page: str, name: str) -> str:
    """The text of the first element that is this part."""
    found = re.search(rf'<(\w+)[^>]* data-part="{name}"[^>]*>(.*?)</\1>', page, re.DOTALL)
    assert found, f"no {name} in {page}"
    return html.unescape(re.sub(r"<[^>]*>", "", found[2]))


class TestRun:
    def test_shows_a_run_in_the_middle(self) -> None:
        progress = {"current": 3, "total": 8, "message": "saved <b>"}
        run = make_run(status="leased", progress=progress)
        make_step(run, "parse", took=12)
        make_step(run, "save", took=1234)
        make_step(run, "check", took=1234, status="failed", error="no <room>")
        log = {"level": "warn", "message": "<hot>", "data": {"a": "&"}}
        LogEntry.objects.create(run=run, timestamp=clock.now(), **log)
        page = render("{% durably_run run %}", run=run)
        assert part(page, "status") == "leased"
        assert part(page, "percent") == "37%"
        assert part(page, "message") == "saved <b>"
        assert 'value="3" max="8"' in page
        assert re.findall(r'data-step="(\w+)" data-status="(\w+)"', page) == [
            ("parse", "completed"),
            ("save", "completed"),
            ("check", "failed"),
        ]
        assert re.findall(r'data-part="took">([^<]+)<', page) == ["12 ms", "1.2 s"]
        assert "no &lt;room&gt;" in page
        assert '<span data-part="message">&lt;hot&gt;</span>' in page
        assert part(page, "data") == '{"a":"&"}'
        for raw in ("<b>", "<room>", "<hot>"):
            assert raw not in page

    def test_shows_a_run_that_ended(self) -> None:
        failed = make_run(status="failed", error="it <broke>")
        page = render("{% durably_run run %}", run=failed)
        assert part(page, "error") == "it <broke>"
        assert "hidden" not in page[: page.index("it &lt;broke")].rpartition("<p")[2]
        completed = make_run(status="completed", output={"count": 1})
        assert part(render("{% durably_run run %}", run=completed), "output") == (
            '{\n  "count": 1\n}'
        )

    def test_a_finished_run_asks_for_nothing_more(self) -> None:
        page = render("{% durably_run run %}", run=make_run(status="cancelled"))
        assert "data-api" not in page
        assert "<script" not in page

    def test_an_active_run_says_where_the_page_goes_on(self) -> None:
        run = make_run(labels={"org": "1"})
        make_event(run)
        seen, other = make_event(run), make_event(make_run())
        page = render("{% durably_run run %}", run=run)
        assert attribute(page, "data-api") == API
        assert attribute(page, "data-run") == str(run.pk)
        assert attribute(page, "data-seen") == str(seen.pk)
        assert attribute(page, "data-cursor") == str(other.pk)
        assert json.loads(attribute(page, "data-labels")) == {"org": "1"}

    def test_shows_the_run_as_it_is_when_the_view_read_it_long_ago(self) -> None:
        run = make_run(status="leased")
        Run.objects.filter(pk=run.pk).update(status="completed")
        assert part(render("{% durably_run run %}", run=run), "status") == "completed"

    def test_shows_a_run_that_was_deleted_meanwhile_as_it_was(self) -> None:
        run = make_run(status="leased")
        Run.objects.filter(pk=run.pk).delete()
        assert part(render("{% durably_run run %}", run=run), "status") == "leased"

    def test_leaves_out_what_is_not_wanted(self) -> None:
        run = make_run(status="completed", output=1)
        make_step(run, "parse")
        page = render("{% durably_run run steps=False log=False output=False %}", run=run)
        for name in ("steps", "log", "output"):
            assert f'data-part="{name}"' not in page

    def test_shows_the_newest_steps_and_entries_and_the_last_try_of_a_step(self) -> None:
        run = make_run()
        make_step(run, "a", status="failed", index=0)
        make_step(run, "a", attempt=2, index=0)
        for name in ("b", "c"):
            make_step(run, name)
            fields = {"level": "info", "message": name, "timestamp": clock.now()}
            LogEntry.objects.create(run=run, **fields)
        page = render("{% durably_run run %}", run=run)
        assert re.findall(r'data-step="(\w+)" data-status="(\w+)"', page) == [
            ("a", "completed"),
            ("b", "completed"),
            ("c", "completed"),
        ]
        page = render("{% durably_run run limit=1 %}", run=run)
        assert re.findall(r'data-step="(\w+)"', page) == ["c"]
        assert re.findall(r'data-part="message">(\w+)<', page) == ["c"]

    def test_progress_without_a_total(self) -> None:
        page = render("{% durably_run run %}", run=make_run(progress={"current": 7}))
        assert part(page, "percent") == "7"
        assert re.search(r"<progress[^>]* hidden>", page)

    def test_another_mount_or_none(self) -> None:
        run = make_run()
        one = render("{% durably_run run api='one' %}", run=run)
        assert attribute(one, "data-api") == "/one"
        away = render("{% durably_run run api='https://jobs.example.com/api/' %}", run=run)
        assert attribute(away, "data-api") == "https://jobs.example.com/api"
        with pytest.raises(NoReverseMatch):
            render("{% durably_run run api='typo' %}", run=run)

    def test_in_another_language(self) -> None:
        run = make_run(status="leased", progress={"current": 1.5, "total": 3})
        make_step(run, "parse", took=1234)
        with translation.override("de"):
            page = render("{% durably_run run %}", run=run)
        assert "1,2 s" in page
        assert 'value="1.5" max="3"' in page
        assert 'data-limit="100"' in page

    def test_nothing_inline_and_a_nonce_only_where_django_has_one(self) -> None:
        run = make_run()
        page = render("{% durably_run run %}", run=run)
        assert re.findall(r"<script[^>]*>", page) == [
            '<script type="module" src="/static/durably/live.js">'
        ]
        assert "style=" not in page
        assert not re.search(r"\son\w+=", page)
        assert "nonce" not in page
        page = render("{% durably_run run %}", run=run, csp_nonce="r4nd0m")
        assert page.count('nonce="r4nd0m"') == 2


class TestFollowing:
    def test_the_place_is_that_of_the_log_which_is_shown(self) -> None:
        run = make_run()
        LogEntry.objects.create(run=run, level="info", message="1", timestamp=clock.now())
        written = make_event(run)
        followed = follow(run, 10)
        assert [entry.message for entry in followed.logs] == ["1"]
        assert followed.event_id == written.pk

    def test_without_a_log_it_is_that_of_the_newest_event(self) -> None:
        run = make_run()
        assert follow(run, 10).event_id == 0
        assert follow(run, 10).cursor.highest == 0
        event = make_event(run, "run:trigger")
        assert follow(run, 10).event_id == event.pk
        assert follow(run, 10).cursor.highest == event.pk

    def test_a_run_that_ends_while_it_is_read_is_shown_whole(self) -> None:
        run = make_run(status="leased")
        names = iter(["last"])

        def end_it(execute: Any, sql: str, *arguments: Any) -> Any:
            answer = execute(sql, *arguments)
            if sql.startswith("SELECT") and "durably_step" in sql:
                for name in names:
                    make_step(run, name, index=0)
                    Run.objects.filter(pk=run.pk).update(status="completed")
            return answer

        with connection.execute_wrapper(end_it):
            followed = follow(run, 10)
        assert followed.run.status == "completed"
        assert [step.name for step in followed.steps] == ["last"]

    def test_costs_the_same_however_long_the_run_is(self, django_assert_num_queries: Any) -> None:
        run = make_run()
        for number in range(LOOK_BACK // 10):
            make_step(run, f"step-{number}")
            make_event(run)
        with django_assert_num_queries(5):
            follow(run, 10)


class TestRuns:
    def test_shows_the_newest_first_and_links_them(self) -> None:
        runs = [make_run(job_name=f"job-{number}") for number in range(3)]
        tag = "{% durably_runs limit=2 url='run' %}"
        page = render(tag, request=request_of("view_run"))
        shown, _, blank = page.partition("<template>")
        assert re.findall(r'data-part="name">([\w-]+)<', shown) == ["job-2", "job-1"]
        assert re.findall(r'href="(/runs/[^"]*)"', shown) == [
            f"/runs/{run.pk}/" for run in reversed(runs[1:])
        ]
        assert f'href="/runs/{UUID(int=0)}/"' in blank
        assert attribute(page, "data-limit") == "2"
        assert attribute(page, "data-api") == API

    def test_says_how_old_a_run_is(self) -> None:
        make_run()
        make_run(created_at=clock.now() - timedelta(minutes=3))
        page = render("{% durably_runs %}", request=request_of("view_run"))
        assert re.findall(r">([^<>]*)</time>", page) == ["3\xa0minutes ago", *["just now"] * 2]

    def test_narrows_by_job_and_labels(self) -> None:
        wanted = make_run(job_name="a", labels={"org": "1", "x/y": "2"})
        make_run(job_name="b", labels={"org": "1", "x/y": "2"})
        make_run(job_name="a", labels={"org": "2", "x/y": "2"})
        make_run(job_name="a", labels={"org": "1"})
        tag = "{% durably_runs job='a' label_org=1 labels=more %}"
        page = render(tag, more={"x/y": "2"}, request=request_of("view_run"))
        assert re.findall(r'<tr data-run="([^"]+)"', page) == [str(wanted.pk)]
        assert attribute(page, "data-query") == "jobName=a&label.org=1&label.x%2Fy=2"

    def test_says_that_there_are_none(self) -> None:
        page = render("{% durably_runs %}", request=request_of("view_run"))
        assert part(page, "none") == "None so far."
        assert not re.search(r'data-part="none" hidden', page)

    def test_shows_nothing_to_who_may_see_no_runs(self) -> None:
        make_run()
        assert render("{% durably_runs %}", request=request_of()) == ""
        request = RequestFactory().get("/")
        request.user = AnonymousUser()
        assert render("{% durably_runs %}", request=request) == ""

    def test_shows_what_the_policy_of_the_mount_lets_see(self) -> None:
        mine, other = make_run(labels={"org": "1"}), make_run(labels={"org": "2"})
        request = request_of("view_run")
        both = render("{% durably_runs %}", request=request)
        assert str(mine.pk) in both
        assert str(other.pk) in both
        for name in ("one", "/one", "/one/"):
            page = render("{% durably_runs api=name %}", name=name, request=request)
            assert str(mine.pk) in page
            assert str(other.pk) not in page
            assert attribute(page, "data-api") == "/one"
        page = render("{% durably_runs api='one' label_org=2 %}", request=request)
        assert '<tr data-run="0' not in page

    def test_a_prefix_of_the_whole_site(self) -> None:
        set_script_prefix("/site/")
        try:
            found = mount("one")
        finally:
            set_script_prefix("/")
        assert found.url == "/site/one"
        assert isinstance(found.policy, OnlyOne)

    def test_wrong_use(self) -> None:
        request = request_of("view_run")
        with pytest.raises(ImproperlyConfigured, match=r"context_processors\.request"):
            render("{% durably_runs %}")
        with pytest.raises(TemplateSyntaxError, match="unexpected argument jobs"):
            render("{% durably_runs jobs='a' %}", request=request)
        with pytest.raises(ValidationError, match="a b"):
            render("{% durably_runs labels=bad %}", bad={"a b": "1"}, request=request)


@pytest.mark.urls("tests.templatetags.no_urls")
def test_without_an_api_the_page_stands_still() -> None:
    page = render("{% durably_run run %}", run=make_run())
    assert "data-api" not in page
    assert "<script" not in page
    page = render("{% durably_runs %}", request=request_of("view_run"))
    assert "data-api" not in page
    assert "<script" not in page
