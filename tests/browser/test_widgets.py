"""The script of the template tags: one stream, no loss, and pages that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import once
from tests.browser.site import Site
from tests.browser.visits import TagsVisit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Route

pytestmark = [pytest.mark.browser, pytest.mark.process]


@pytest.fixture
def tab(site: Site, context: BrowserContext) -> Iterator[TagsVisit]:
    tab = TagsVisit(context, site.url)
    yield tab
    print(site.logs())  # noqa: T201  shown when the test fails
    assert tab.problems == []


def statuses(tab: TagsVisit) -> dict[str, str]:
    """Of the runs on the page that are shown in full."""
    script = "all => all.map(w => [w.dataset.run, w.querySelector('[data-part=status]').innerText])"
    return dict(tab.page.locator(".durably-run").evaluate_all(script))


def test_all_widgets_of_a_page_share_one_stream(tab: TagsVisit) -> None:
    ended = tab.ask_for_run(country="LU")
    tab.until(lambda: ended_runs(tab) == 1)
    runs = [tab.ask_for_run(country=country, batch_size=20) for country in ("FR", "DE")]
    tab.page.goto(f"{tab.url}/widgets/?run={'&run='.join([ended, *runs])}")
    assert tab.streams() == ["/api/durably/runs/subscribe"]
    tab.until(lambda: statuses(tab) == dict.fromkeys([ended, *runs], "completed"))
    nearest = tab.ask_for_run("nearest-airports", icao="ELLX")
    lists = tab.page.locator(".durably-runs")
    tab.until(lambda: lists.nth(0).locator("tbody tr").count() == 1)
    tab.until(lambda: lists.nth(1).locator("tbody tr").first.get_attribute("data-run") == nearest)
    tab.until(lambda: lists.nth(1).locator("tbody tr").count() == 2)
    assert lists.nth(0).locator(".durably-none").is_hidden()
    assert len([url for url in tab.requests if "subscribe" in url]) == 1


def ended_runs(tab: TagsVisit) -> int:
    runs = tab.page.request.get(f"{tab.url}/api/durably/runs").json()
    return sum(run["isTerminal"] for run in runs)


@once
def test_a_page_of_one_run_listens_to_that_run_and_stops_when_it_ends(tab: TagsVisit) -> None:
    run_id = tab.ask_for_run(batch_size=200)
    tab.page.goto(f"{tab.url}/runs/{run_id}/")
    assert tab.streams() == [f"/api/durably/subscribe?runId={run_id}"]
    tab.until_status("completed")
    assert tab.streams() == []
    assert '"saved":' in tab.page.locator("[data-part=output]").inner_text()
    assert tab.page.get_by_role("button", name="Cancel").is_hidden()
    assert tab.page.get_by_role("button", name="Retrigger").is_visible()


@once
def test_steps_and_errors_are_live(tab: TagsVisit) -> None:
    tab.until(lambda: tab.ask_for_run(country="FJ") and True)
    tab.until(lambda: ended_runs(tab) == 1)
    tab.page.goto(f"{tab.url}/")
    tab.press("Check airports")
    tab.until_status("failed")
    steps = tab.page.locator(".durably-steps li")
    assert [" ".join(text.split()[:2]) for text in steps.all_inner_texts()] == [
        "imported completed",
        "coordinates completed",
        "time-zones completed",
        "cities failed",
    ]
    error = tab.page.locator(".durably-run > .durably-error").inner_text()
    assert error.startswith("1 airport without a city")
    before = shown(tab)
    tab.page.reload()
    assert shown(tab) == before


def shown(tab: TagsVisit) -> list[Any]:
    """The run's widget as nested lists, without the order of attributes and without blanks."""
    script = """node => {
      const read = (each) => each.nodeType === Node.TEXT_NODE
        ? each.textContent.trim()
        : [each.localName, [...each.attributes].map(a => `${a.name}=${a.value}`).sort(),
           ...[...each.childNodes].map(read).filter((part) => part.length)]
      return [...node.children].map(read)
    }"""
    found: list[Any] = tab.page.locator(".durably-run").evaluate(script)
    return found


def test_a_page_goes_on_after_the_web_server_was_away(tab: TagsVisit, site: Site) -> None:
    run_id = tab.ask_for_run(batch_size=100)
    tab.page.goto(f"{tab.url}/runs/{run_id}/")
    tab.until_percent(3)
    site.restart_web()
    tab.until_status("completed")
    assert len(tab.log()) == 2
    tab.problems.clear()  # the browser tells of the lost connection


@once
def test_a_page_that_nobody_looks_at_gives_its_stream_back(tab: TagsVisit) -> None:
    tab.page.clock.install()
    tab.open()
    assert len(tab.streams()) == 1
    look(tab, away=True)
    tab.page.clock.fast_forward(25_000)
    assert tab.streams() == []
    run_id = tab.ask_for_run(country="LU")
    tab.until(lambda: ended_runs(tab) == 1)
    look(tab, away=False)
    tab.until(lambda: tab.rows() == {run_id: "completed"})
    assert len(tab.streams()) == 1


def look(tab: TagsVisit, *, away: bool) -> None:
    tab.page.evaluate(
        "away => { Object.defineProperty(document, 'hidden', { value: away, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')) }",
        away,
    )


@once
def test_when_the_place_is_lost_the_page_takes_what_the_server_shows(tab: TagsVisit) -> None:
    tab.page.clock.install()
    tab.open()
    look(tab, away=True)
    tab.page.clock.fast_forward(25_000)
    run_id = tab.ask_for_run(country="LU")
    tab.until(lambda: ended_runs(tab) == 1)
    tab.page.route("**/runs/subscribe*", lambda route: route.continue_(url=without_place(route)))
    look(tab, away=False)
    tab.until(lambda: tab.rows() == {run_id: "completed"})


def without_place(route: Route) -> str:
    return route.request.url.partition("?")[0] + "?lastEventId=999999999"


@once
def test_without_javascript_the_page_says_all_that_is_known(
    site: Site, browser: Browser, context: BrowserContext
) -> None:
    tab = TagsVisit(context, site.url)
    run_id = tab.ask_for_run(country="LU")
    tab.until(lambda: ended_runs(tab) == 1)
    plain = browser.new_context(java_script_enabled=False, storage_state=context.storage_state())
    page = plain.new_page()
    page.goto(f"{site.url}/runs/{run_id}/")
    text = page.locator(".durably-run").inner_text()
    for word in ("completed", "100%", "save-0", "read the file", "saved"):
        assert word in text
    page.goto(site.url)
    assert "import-airports" in page.locator(".durably-runs").inner_text()
    plain.close()
