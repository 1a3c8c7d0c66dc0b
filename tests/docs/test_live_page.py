"""The page of the tutorial is live in a real browser, as the tutorial says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.examples import DOCS, steps
from tests.docs.story import Project
from tests.support import databases

MILLISECONDS = 60_000

pytestmark = [pytest.mark.browser, pytest.mark.process]


@pytest.fixture
def page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = databases.chromium_program()
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(MILLISECONDS)
        yield page
        browser.close()


def test_the_bar_moves_until_the_import_is_done(shop: Project, page: Any, tmp_path: Path) -> None:
    project = shop.copy(tmp_path)
    jobs = project.folder / "shop/jobs.py"
    jobs.write_text(jobs.read_text().replace("time.sleep(0)", "time.sleep(0.5)"))

    with project.at_the_end_of(steps(DOCS / "tutorials/live-progress.md")):
        log_in(page, project.site)
        page.goto(f"http://{project.site}/imports/")
        page.get_by_role("button", name="Import products").click()

        run = page.locator("[data-durably=run]")
        run.locator("progress[value='2']").wait_for()
        run.locator("progress[value='8']").wait_for()
        run.locator(".durably-head [data-status=completed]").wait_for()
        assert run.locator("[data-step]:visible").count() == 5
        assert "imported" in run.get_by_role("log").inner_text()

        page.get_by_role("link", name="All imports").click()
        assert page.locator("tr[data-status=completed]").count() == 1


def log_in(page: Any, site: str) -> None:
    page.goto(f"http://{site}/admin/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("analytical")
    page.get_by_role("button", name="Log in").click()
    page.get_by_text("Site administration").first.wait_for()
