"""What a visitor does and sees, the same for the two pages of the example."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Request

PATIENCE = 60.0
ACTIVE = ("pending", "leased")

# Every status and percentage that the page shows, in order, and its open event streams.
RECORDER = """
window.seen = []
window.streams = new Set()
new MutationObserver(() => {
  const text = (selector) => document.querySelector(selector)?.textContent.trim() ?? ''
  const now = window.selectors.map(text).join(' ')
  if (window.seen.at(-1) !== now) window.seen.push(now)
}).observe(document, { subtree: true, childList: true, characterData: true, attributes: true })
window.EventSource = class extends EventSource {
  constructor(url) { super(url); window.streams.add(this) }
  close() { super.close(); window.streams.delete(this) }
}
"""


class Visit:
    """A page of the site in one tab, of somebody who is logged in."""

    path = ""
    status_of_run = ""
    percent_of_run = ""
    row = ""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.requests: list[str] = []
        self.problems: list[str] = []
        self._waiting: set[Request] = set()
        self.page.on("request", self._on_request)
        for ending in ("requestfinished", "requestfailed"):
            self.page.on(ending, self._on_end)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        selectors = f"window.selectors = {[self.status_of_run, self.percent_of_run]}"
        self.page.add_init_script(selectors + RECORDER)

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        if "/subscribe" not in request.url:
            self._waiting.add(request)

    def _on_end(self, request: Request) -> None:
        self._waiting.discard(request)

    def until_all_is_read(self) -> None:
        """Until no request waits for its answer, streams aside."""
        self.until(lambda: not self._waiting)

    def open(self) -> None:
        self.page.goto(self.url + self.path)

    def trigger(self, country: str = "", batch_size: int = 500) -> str:
        """Fill in the form and send it; the run is shown. Its id."""
        before = self.run_id()
        self.page.fill("[name=country]", country)
        self.page.fill("[name=batch_size]", str(batch_size))
        self.press(self.import_button)
        return self._next_run(before)

    import_button = "Import"

    def run_id(self) -> str:
        """The run that is shown in full."""
        raise NotImplementedError

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def ask_for_run(self, job_name: str = "import-airports", **input: object) -> str:
        """Trigger a run behind the page's back. Its id."""
        data = {"jobName": job_name, "input": input}
        answer = self.page.request.post(f"{self.url}/api/durably/trigger", data=data)
        assert answer.ok, answer.text()
        run_id: str = answer.json()["runId"]
        return run_id

    def retrigger(self) -> str:
        before = self.run_id()
        self.press("Retrigger")
        return self._next_run(before)

    def _next_run(self, before: str) -> str:
        self.until(lambda: self.run_id() not in ("", before))
        return self.run_id()

    def status(self) -> str:
        return self._text(self.status_of_run)

    def percent(self) -> int:
        return int(self._text(self.percent_of_run).rstrip("%") or 0)

    def seen(self) -> list[tuple[str, int]]:
        """The statuses and percentages so far, as they were shown since the page was loaded."""
        shown = [re.fullmatch(r"(\w+) ?(?:(\d+)%)?", text) for text in self._evaluate("seen")]
        return [(found[1], int(found[2] or 0)) for found in shown if found]

    def log(self) -> list[str]:
        return self.page.locator(".log li, .durably-log li").all_inner_texts()

    def rows(self) -> dict[str, str]:
        """The runs in the list, the first one first, and their statuses."""
        cells = "rows => rows.map(r => [r.dataset.run, r.querySelector('.status, .durably-status')"
        return dict(self.page.locator(self.row).evaluate_all(f"{cells}.textContent])"))

    def until(self, predicate: Callable[[], Any], timeout: float = PATIENCE) -> Any:
        def answer() -> Any:
            self.page.wait_for_timeout(1)  # lets the browser's events reach us
            return predicate()

        message = f"the page shows {self.status()} {self.percent()}, runs {self.rows()}"
        return eventually(answer, timeout, message)

    def until_status(self, *statuses: str) -> None:
        self.until(lambda: self.status() in statuses)

    def until_percent(self, percent: int) -> None:
        self.until(lambda: self.percent() >= percent)

    def streams(self) -> list[str]:
        """The event streams that are open or being opened, without their host and place."""
        urls = self._evaluate("[...streams].filter(s => s.readyState < 2).map(s => s.url)")
        return [re.sub(r"[?&]lastEventId=[^&]*", "", url).removeprefix(self.url) for url in urls]

    def _evaluate(self, name: str) -> Any:
        return self.page.evaluate(f"window.{name}" if name.isidentifier() else name)

    def _text(self, selector: str) -> str:
        return next(iter(self.page.locator(selector).all_inner_texts()), "")


class TagsVisit(Visit):
    """The pages whose widgets are made by template tags: the run is on a page of its own."""

    path = "/"
    import_button = "Import airports"
    status_of_run = ".durably-run [data-part=status]"
    percent_of_run = ".durably-run [data-part=percent]"
    row = ".durably-runs tbody tr"

    def run_id(self) -> str:
        found = re.search(r"/runs/([0-9a-f-]{36})/", self.page.url)
        return found[1] if found else ""


class ReactVisit(Visit):
    """The page of the React client: a form, a run and the list on one page."""

    path = "/react/"
    status_of_run = ".run .status"
    percent_of_run = ".run .number"
    row = ".runs tbody tr"

    def run_id(self) -> str:
        found = re.search(r"#run=([0-9a-f-]{36})", self.page.url)
        return found[1] if found else ""
