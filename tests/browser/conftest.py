"""One site and one browser per module: playwright keeps an event loop, which the ORM minds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from tests import settings
from tests.browser.site import Site
from tests.browser.visits import ReactVisit, TagsVisit, Visit
from tests.support import databases, frontend

if TYPE_CHECKING:
    from playwright.sync_api import APIRequestContext, Browser, BrowserContext

SERVERS = {"postgresql": databases.POSTGRESQL, "mariadb": databases.MARIADB}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

NewVisit = Callable[..., Visit]

once = pytest.mark.skipif(
    databases.chosen() != "sqlite", reason="the same on every database, hence only on SQLite"
)


@pytest.fixture(scope="module")
def database_url(django_db_blocker: Any) -> Iterator[str]:
    """A database of the kind that this test run is about; empty for SQLite, which needs none."""
    if databases.chosen() == "sqlite":
        yield ""
        return
    name = f"{settings.NAME}_browser"
    with django_db_blocker.unblock(), connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    yield f"{SERVERS[databases.chosen()].url.rstrip('/')}/{name}"
    with django_db_blocker.unblock(), connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture(scope="module")
def site(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not frontend.missing():
        frontend.build()
    site = Site(tmp_path_factory.mktemp("site"), database_url)
    try:
        site.start()
        yield site
    finally:
        site.stop()


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = databases.chromium_program()
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def cookies(site: Site, browser: Browser) -> Any:
    """What a browser keeps after the demo user has logged in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/login/?next=/airports/")
    page.fill("[name=username]", "demo")
    page.fill("[name=password]", "demo")
    page.locator("main").get_by_role("button").click()
    page.wait_for_url(f"{site.url}/airports/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def context(site: Site, browser: Browser, cookies: Any) -> Iterator[BrowserContext]:
    """A browser of somebody who is logged in, on a site without runs."""
    context = browser.new_context(storage_state=cookies, viewport={"width": 1100, "height": 900})
    delete_all_runs(site, context.request)
    yield context
    context.close()


def delete_all_runs(site: Site, request: APIRequestContext) -> None:
    api = f"{site.url}/api/durably"
    for run in request.get(f"{api}/runs?limit=1000").json():
        if run["isActive"]:
            request.post(f"{api}/cancel?runId={run['id']}")
        answer = request.delete(f"{api}/run?runId={run['id']}")
        assert answer.ok, answer.text()


@pytest.fixture(params=[TagsVisit, ReactVisit], ids=["tags", "react"])
def visit(
    request: pytest.FixtureRequest, site: Site, context: BrowserContext
) -> Iterator[NewVisit]:
    """Opens tabs on one page of the example; none may complain in the console."""
    if request.param is ReactVisit and frontend.missing():
        pytest.skip(frontend.missing())
    visits: list[Visit] = []

    def open_tab() -> Visit:
        visit: Visit = request.param(context, site.url)
        visits.append(visit)
        visit.open()
        return visit

    yield open_tab
    print(site.logs())  # noqa: T201  shown when the test fails
    assert [problem for visit in visits for problem in visit.problems] == []
