"""Both pages of the example do the same for a visitor: with template tags, and with React."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import NewVisit, once
from tests.browser.site import Site
from tests.browser.visits import ReactVisit
from tests.support import frontend

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.process]

RECONNECTS_AFTER = 3_000
"""Milliseconds after which Chromium opens a stream again that ended without saying when."""

needs_node = pytest.mark.skipif(bool(frontend.missing()), reason=frontend.missing())


@pytest.fixture
def react(site: Site, context: BrowserContext) -> ReactVisit:
    return ReactVisit(context, site.url)


def test_progress_is_live_and_reaches_the_end(visit: NewVisit) -> None:
    tab = visit()
    tab.trigger(batch_size=200)
    tab.until_status("completed")
    tab.until(lambda: any("saved" in line for line in tab.log()))
    statuses = [status for status, _ in tab.seen() if status]
    percents = [percent for _, percent in tab.seen()]
    assert percents == sorted(percents)
    assert len(set(percents)) >= 5
    assert percents[-1] == 100
    assert list(dict.fromkeys(statuses)) in (
        ["pending", "leased", "completed"],
        ["leased", "completed"],
    )
    assert ["read the file" in line or "saved" in line for line in tab.log()] == [True, True]


@once
def test_a_reload_in_the_middle_shows_the_right_state_and_goes_on(visit: NewVisit) -> None:
    tab = visit()
    run_id = tab.trigger(batch_size=50)
    tab.until_percent(5)
    before = tab.percent()
    tab.page.reload()
    tab.until_percent(before)
    assert tab.run_id() == run_id
    assert (tab.status(), tab.percent() < 100) == ("leased", True)
    assert all(percent == 0 or percent >= before for _, percent in tab.seen())
    assert len(tab.log()) == 1
    tab.until_status("completed")
    tab.until(lambda: len(tab.log()) == 2)
    assert tab.percent() == 100


@once
def test_cancel(visit: NewVisit) -> None:
    tab = visit()
    run_id = tab.trigger(batch_size=2)
    tab.until_percent(1)
    tab.press("Cancel")
    tab.until_status("cancelled")
    assert tab.percent() < 100
    tab.open()
    tab.until(lambda: tab.rows() == {run_id: "cancelled"})


@once
def test_retrigger_and_delete(visit: NewVisit) -> None:
    tab = visit()
    first = tab.trigger("LU")
    tab.until_status("completed")
    second = tab.retrigger()
    tab.until_status("completed")
    assert second != first
    tab.until_all_is_read()
    tab.press("Delete")
    tab.until(lambda: tab.rows() == {first: "completed"})
    tab.page.reload()
    tab.until(lambda: tab.rows() == {first: "completed"})


@once
def test_two_tabs_show_the_same(visit: NewVisit) -> None:
    watching, acting = visit(), visit()
    run_id = acting.trigger(batch_size=200)
    watching.until(lambda: watching.rows().get(run_id) == "leased")
    acting.until_status("completed")
    watching.until(lambda: watching.rows() == {run_id: "completed"})
    acting.until_all_is_read()
    watching.until_all_is_read()
    acting.press("Delete")
    watching.until(lambda: watching.rows() == {})


def test_a_worker_that_is_killed_and_replaced(visit: NewVisit, site: Site) -> None:
    tab = visit()
    tab.trigger(batch_size=100)
    tab.until_percent(10)
    before = tab.percent()
    assert before < 100
    site.replace_worker()
    tab.until_status("completed")
    percents = [percent for _, percent in tab.seen()]
    assert percents[-1] == 100
    at_first, resumed = percents[: percents.index(before)], percents[percents.index(before) :]
    assert at_first == sorted(at_first)
    # What had been announced but not stored when the worker died is shown once more.
    assert min(resumed) >= before - 5


@once
def test_finished_runs_cause_no_further_requests(visit: NewVisit) -> None:
    tab = visit()
    tab.trigger("LU")
    tab.until_status("completed")
    tab.page.reload()
    tab.until_status("completed")
    tab.until_all_is_read()
    tab.requests.clear()
    from playwright.sync_api import TimeoutError as NothingHappened

    with pytest.raises(NothingHappened):
        tab.page.wait_for_event("request", timeout=RECONNECTS_AFTER + 1_000)
    assert tab.requests == []


@once
@needs_node
def test_the_list_of_the_react_page_has_pages(react: ReactVisit) -> None:
    runs = [react.ask_for_run(country="LU") for _ in range(10)]
    newest_first = runs[::-1]
    react.open()
    react.until(lambda: react.rows() == dict.fromkeys(newest_first[:8], "completed"))
    react.until_all_is_read()  # the client takes a late answer about one page for another's
    react.press("Older")
    react.until(lambda: list(react.rows()) == newest_first[8:])
    assert react.page.get_by_role("button", name="Older").is_disabled()
    react.press("Newer")
    react.until(lambda: list(react.rows()) == newest_first[:8])


@once
@needs_node
def test_the_react_page_says_why_an_input_is_refused(react: ReactVisit) -> None:
    react.open()
    react.page.fill("[name=country]", "1A")
    react.press("Import")
    words = react.page.get_by_role("alert")
    words.wait_for()
    assert "country" in words.inner_text()
    assert react.problems == [
        "Failed to load resource: the server responded with a status of 400 (Bad Request)"
    ]
