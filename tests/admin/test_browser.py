"""The admin in a real Chromium, on the example site with a real worker."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.admin.test_run import HOSTILE
from tests.browser.site import Site
from tests.support import databases

pytestmark = pytest.mark.browser

ADMIN = "/admin/durably"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With a database of its own, a SQLite file: what differs between databases is no page."""
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        site.start()
        yield site
    finally:
        site.stop()


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        program = databases.chromium_program()
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def state(site: Site, browser: Browser) -> Any:
    """What the browser keeps after the demo user has logged in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/admin/login/?next={ADMIN}/run/")
    page.fill("[name=username]", "demo")
    page.fill("[name=password]", "demo")
    page.click("[type=submit]")
    page.wait_for_url(f"{site.url}{ADMIN}/run/")
    kept = context.storage_state()
    context.close()
    return kept


@pytest.fixture
def context(site: Site, browser: Browser, state: Any) -> Iterator[BrowserContext]:
    context = browser.new_context(storage_state=state, viewport={"width": 1200, "height": 900})
    yield context
    context.close()


@pytest.fixture
def open_page(site: Site, context: BrowserContext) -> Iterator[Open]:
    """Opens a page of the admin; none may complain in the console, of its policy neither."""
    problems: list[str] = []

    def open_page(address: str) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.goto(f"{site.url}{ADMIN}{address}")
        return page

    yield open_page
    print(site.logs())  # noqa: T201  shown when the test fails
    assert problems == []


def trigger(open_page: Open, job: str, **fields: str) -> Page:
    """A run, triggered by its form; its page."""
    page = open_page(f"/run/trigger/?job={job}")
    for name, value in fields.items():
        page.fill(f"[name={name}]", value)
    page.get_by_role("button", name="Trigger", exact=True).click()
    page.wait_for_url("**/change/")
    return page


def badge(page: Page, text: str) -> None:
    expect(page.locator("h1 .durably-badge")).to_have_text(text, timeout=30_000)


def importing(open_page: Open) -> Page:
    """An import in small steps, which takes a while."""
    page = trigger(open_page, "import-airports", **{"input-batch_size": "2"})
    badge(page, "leased")
    return page


def test_a_newcomer_finds_the_failing_run_its_reason_and_the_button(open_page: Open) -> None:
    badge(trigger(open_page, "check-airports", **{"input-country": "QQ"}), "failed")
    page = open_page("/overview/")
    page.locator(".durably-card-failed a").click()
    page.get_by_role("link", name="check-airports").first.click()
    expect(page.get_by_role("heading", name="Failed in step imported")).to_be_visible()
    page.get_by_role("button", name="Retrigger", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("Retriggered 1 run.")
    expect(page.locator(".durably-facts")).to_contain_text("Repeats")
    badge(page, "failed")


def test_a_run_is_followed_live_and_cancelled(open_page: Open) -> None:
    page = importing(open_page)
    progress = page.locator(".durably-big-progress progress")
    expect(page.locator("[data-durably-state]")).to_have_text("live")
    seen = progress.get_attribute("value")
    expect(progress).not_to_have_attribute("value", seen or "", timeout=15_000)
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Yes, cancel").click()
    badge(page, "cancelled")
    page.get_by_role("link", name="History").click()
    expect(page.locator("#change-history")).to_contain_text("Cancelled.")


def test_the_list_changes_in_place(open_page: Open) -> None:
    listed = open_page("/run/")
    expect(listed.locator("[data-durably-state]")).to_have_text("live")
    run = importing(open_page)
    run_id = run.locator("#run-id").inner_text()
    row = listed.locator(f"#run-{run_id}")
    listed.bring_to_front()
    expect(row.locator(".durably-badge")).to_have_text("leased", timeout=20_000)
    row.get_by_role("checkbox").check()
    seen = row.locator("progress").get_attribute("value") or ""
    expect(row.locator("progress")).not_to_have_attribute("value", seen, timeout=20_000)
    expect(row.get_by_role("checkbox")).to_be_checked()
    listed.get_by_role("button", name="Cancel…").click()
    listed.get_by_role("button", name="Yes, cancel").click()
    expect(listed.locator(".messagelist")).to_contain_text("Cancelled 1 run.")
    expect(row.locator(".durably-badge")).to_have_text("cancelled")


def test_many_are_retriggered_and_deleted(open_page: Open) -> None:
    for _ in range(2):
        badge(trigger(open_page, "check-airports", **{"input-country": "QQ"}), "failed")
    page = open_page("/run/?status=failed")
    boxes = page.locator("tbody input[name=ids]")
    for number in range(2):
        boxes.nth(number).check()
    page.get_by_role("button", name="Retrigger…").click()
    page.get_by_role("button", name="Yes, retrigger").click()
    expect(page.locator(".messagelist")).to_contain_text("Retriggered 2 runs.")
    page.get_by_label("all that match").check()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Yes, delete").click()
    expect(page.locator(".messagelist")).to_contain_text("Deleted")


def test_an_input_is_edited_and_errors_stand_beside_their_fields(open_page: Open) -> None:
    page = trigger(open_page, "check-airports", **{"input-country": "QQ"})
    badge(page, "failed")
    page.get_by_role("link", name="Edit input…").click()
    expect(page.locator("[name=input-country]")).to_have_value("QQ")
    page.fill("[name=input-country]", "kosovo")
    page.get_by_role("button", name="Retrigger").click()
    expect(page.locator(".form-row.errors")).to_contain_text("String should match pattern")
    page.fill("[name=input-country]", "XX")
    page.get_by_role("button", name="Retrigger").click()
    page.wait_for_url("**/change/")
    expect(page.locator(".durably-json").first).to_contain_text('"XX"')


def test_what_jobs_say_is_never_executed(open_page: Open) -> None:
    page = open_page("/run/trigger/?job=check-airports")
    page.get_by_text("Labels and keys").first.click()
    page.fill("[name=input-country]", "QQ")
    page.fill("[name=labels]", f"org={HOSTILE}")
    page.fill("[name=concurrency_key]", HOSTILE)
    page.get_by_role("button", name="Trigger", exact=True).click()
    badge(page, "failed")
    expect(page.locator(".durably-facts")).to_contain_text(HOSTILE)
    assert page.title() != "owned"
    page.goto(page.url.partition(ADMIN)[0] + f"{ADMIN}/run/")
    expect(page.locator(".durably-runs")).to_contain_text("<script>")
    assert page.title() != "owned"
    assert page.locator("img[src=x]").count() == 0


def test_works_without_scripts(site: Site, browser: Browser, state: Any) -> None:
    context = browser.new_context(storage_state=state, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}{ADMIN}/run/trigger/?job=check-airports")
    page.fill("[name=input-country]", "QQ")
    page.get_by_role("button", name="Trigger", exact=True).click()
    page.goto(f"{site.url}{ADMIN}/run/")
    page.locator("tbody input[name=ids]").first.check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    assert download.value.suggested_filename == "runs.csv"
    page.get_by_role("button", name="Delete…").click()
    expect(page.get_by_role("button", name="Yes, delete")).to_be_visible()
    context.close()


@pytest.mark.parametrize("address", ["/overview/", "/run/", "/run/trigger/"])
def test_fits_on_a_phone(site: Site, browser: Browser, state: Any, address: str) -> None:
    size: Any = {"width": 390, "height": 844}
    context = browser.new_context(storage_state=state, viewport=size)
    page = context.new_page()
    page.goto(f"{site.url}{ADMIN}{address}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_is_used_by_keyboard(open_page: Open) -> None:
    badge(trigger(open_page, "check-airports", **{"input-country": "QQ"}), "failed")
    page = open_page("/run/")
    page.locator("[name=q]").focus()
    page.keyboard.type("QQ")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=QQ**")
    page.locator(".durably-runs tbody th a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/")


AXE = "axe-core@4.11"


@pytest.fixture(scope="session")
def axe() -> str:
    """The checker for accessibility, kept for later test runs; from npm the first time."""
    folder = Path(tempfile.gettempdir(), "durably-axe")
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm = ["npm", "install", "--silent", "--no-save", "--prefix", str(folder), AXE]
        try:
            subprocess.run(npm, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"{AXE} cannot be had from npm: {error}")
    return script.read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    site: Site, browser: Browser, state: Any, axe: str, scheme: Any, open_page: Open
) -> None:
    failed = trigger(open_page, "check-airports", **{"input-country": "QQ"})
    badge(failed, "failed")
    run = failed.url.partition("/durably")[2]
    context = browser.new_context(storage_state=state, color_scheme=scheme)
    page = context.new_page()
    found = []
    for address in (
        "/overview/",
        "/run/",
        run,
        "/run/trigger/?job=check-airports",
        "/run/trigger/",
    ):
        page.goto(f"{site.url}{ADMIN}{address}")
        page.evaluate(axe)
        violations = page.evaluate("axe.run('#content').then(found => found.violations)")
        found += [
            f"{address} {each['id']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
            for each in violations
            if each["impact"] in ("serious", "critical")
        ]
    context.close()
    assert found == []
