"""The pages of the example, as a visitor and as the demo user."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.urls import reverse

from django_durably import Run
from django_durably.testing import run_until_idle
from example_project import settings
from example_project.airports import dataset
from example_project.airports.models import Airport

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = [pytest.mark.django_db, pytest.mark.urls("example_project.urls")]


@pytest.fixture(autouse=True)
def site() -> Iterator[None]:
    with override_settings(
        DEBUG=True,
        INTERNAL_IPS=settings.INTERNAL_IPS,
        LOGIN_URL=settings.LOGIN_URL,
        LOGIN_REDIRECT_URL=settings.LOGIN_REDIRECT_URL,
        MIDDLEWARE=settings.MIDDLEWARE,
        TEMPLATES=settings.TEMPLATES,
    ):
        yield


@pytest.fixture
def demo(client: Client) -> Client:
    call_command("create_demo_user", verbosity=0)
    assert client.login(username="demo", password="demo")
    return client


def trigger(client: Client, job_name: str, **fields: str) -> "Response":
    return client.post(reverse("trigger", args=[job_name]), fields)


def text(response: "Response") -> str:
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_visitor_sees_airports_but_no_runs(client: Client) -> None:
    dataset.save(dataset.read("LU"))
    page = text(client.get("/"))
    assert f"<strong>{len(dataset.read('LU'))}</strong> airports" in page
    assert "Import airports" not in page
    assert trigger(client, "import-airports").status_code == 403
    assert not Run.objects.exists()


def test_log_in(client: Client) -> None:
    call_command("create_demo_user", verbosity=0)
    assert "password <strong>demo</strong>" in text(client.get(reverse("login")))
    form = {"username": "demo", "password": "demo"}
    assert client.post(reverse("login"), form).headers["Location"] == "/"
    assert "Import airports" in text(client.get("/"))
    assert client.get("/admin/airports/airport/").status_code == 200


def test_no_demo_user_without_debug() -> None:
    with override_settings(DEBUG=False), pytest.raises(CommandError, match="DEBUG"):
        call_command("create_demo_user")


def test_import_from_the_page(demo: Client) -> None:
    response = trigger(demo, "import-airports", country="LU")
    run = Run.objects.get()
    assert urlsplit(response.headers["Location"]).path == reverse("run", args=[run.id])
    run_until_idle()
    assert Airport.objects.count() == len(dataset.read("LU"))
    page = text(demo.get(response.headers["Location"]))
    assert "save-0" in page
    assert "read the file" in page
    assert "completed" in text(demo.get("/"))


def test_second_click_changes_nothing(demo: Client) -> None:
    first = trigger(demo, "import-airports")
    second = trigger(demo, "import-airports")
    assert Run.objects.count() == 1
    assert second.headers["Location"] == first.headers["Location"]
    assert "already waiting" in text(demo.get(second.headers["Location"]))


def test_wrong_input_is_explained(demo: Client) -> None:
    assert trigger(demo, "import-airports", country="France").headers["Location"] == "/"
    assert "country" in text(demo.get("/")).split("</main>")[0].split('role="status">')[1]
    assert not Run.objects.exists()


def test_unknown_job_is_not_found(demo: Client) -> None:
    assert trigger(demo, "no-such-job").status_code == 404


def test_failed_run_says_why_and_is_retriggered(demo: Client) -> None:
    failed = trigger(demo, "check-airports", country="FJ").headers["Location"]
    run_until_idle()
    assert "run import-airports first" in text(demo.get(failed))
    again = demo.post(f"{failed}retrigger/").headers["Location"]
    assert again != failed
    assert Run.objects.active().count() == 1


def test_cancel(demo: Client) -> None:
    page = trigger(demo, "import-airports").headers["Location"]
    demo.post(f"{page}cancel/")
    assert Run.objects.get().status == "cancelled"
    assert "cancelled" in text(demo.get(page))
    demo.post(f"{page}cancel/")
    assert 'class="message error"' in text(demo.get(page))


def test_table_searches_and_turns_pages(client: Client) -> None:
    dataset.save(dataset.read("FR"))
    assert f"1 of {-(-len(dataset.read('FR')) // 50)}" in text(client.get("/airports/"))
    assert "page=3" in text(client.get("/airports/?page=2&q=fr"))
    found = text(client.get("/airports/?q=cdg"))
    assert "<h1>1 airport</h1>" in found
    assert "LFPG" in found


def test_pages_need_no_inline_script_or_style(demo: Client) -> None:
    run_page = trigger(demo, "import-airports", country="LU").headers["Location"]
    run_until_idle()
    for url in ["/", "/airports/", run_page]:
        response = demo.get(url)
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", text(response))
