"""Makes the pictures of the live pages in docs/images: `python scripts/make_pictures.py`.

They show the example site in a real Chromium, with an import in the middle. Needs the dependency
groups `test` and `browser`, Chromium, and Node for the React page.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.site import Site  # noqa: E402  needs the line above
from tests.support import databases, frontend  # noqa: E402

IMAGES = ROOT / "docs" / "images"
WIDE = {"width": 960, "height": 720}
PHONE = {"width": 390, "height": 780}
IN_THE_MIDDLE = "mark => document.querySelector(mark)?.position > 0.2"
LOOKS = {
    "": (WIDE, "light"),
    "-dark": (WIDE, "dark"),
    "-phone": (PHONE, "light"),
}


def main() -> None:
    frontend.build()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = Site(Path(folder))
        program = databases.chromium_program()
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            site.start()
            take_all(browser, site)
        finally:
            browser.close()
            site.stop()


def take_all(browser: Browser, site: Site) -> None:
    context = logged_in(browser, site)
    for input in ({"country": "LU"}, {"country": "FJ"}):
        ended(context, site, trigger(context, site, "import-airports", input))
    for job_name, input in (
        ("nearest-airports", {"icao": "ELLX"}),
        ("check-airports", {"country": "FJ"}),
    ):
        ended(context, site, trigger(context, site, job_name, input))
    for suffix, (size, scheme) in LOOKS.items():
        run_id = trigger(context, site, "import-airports", {"batch_size": 50})
        for name, path, mark in (
            ("live-run", f"/runs/{run_id}/", ".durably-run progress"),
            ("live-list", "/", ".durably-runs progress"),
            ("live-react", f"/react/#run={run_id}", ".run progress"),
        ):
            page = open_page(browser, context, size, scheme)
            page.goto(site.url + path)
            # The first is that of the newest run, which is under way.
            page.wait_for_function(IN_THE_MIDDLE, arg=mark, timeout=60_000)
            page.screenshot(path=IMAGES / f"{name}{suffix}.png")
            page.context.close()
        context.request.post(f"{site.url}/api/durably/cancel?runId={run_id}")


def logged_in(browser: Browser, site: Site) -> BrowserContext:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/login/?next=/airports/")
    page.fill("[name=username]", "demo")
    page.fill("[name=password]", "demo")
    page.locator("main").get_by_role("button").click()
    page.wait_for_url(f"{site.url}/airports/")
    return context


def open_page(browser: Browser, login: BrowserContext, size: dict[str, int], scheme: str) -> Page:
    context = browser.new_context(
        storage_state=login.storage_state(),
        viewport=size,  # type: ignore[arg-type]
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    return context.new_page()


def trigger(context: BrowserContext, site: Site, job_name: str, input: Mapping[str, object]) -> str:
    data = {"jobName": job_name, "input": input}
    answer = context.request.post(f"{site.url}/api/durably/trigger", data=data)
    run_id: str = answer.json()["runId"]
    return run_id


def ended(context: BrowserContext, site: Site, run_id: str) -> None:
    page = context.new_page()
    page.goto(f"{site.url}/runs/{run_id}/")
    page.wait_for_selector(".durably-run[data-status=completed], .durably-run[data-status=failed]")
    page.close()


if __name__ == "__main__":
    main()
