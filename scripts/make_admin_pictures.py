"""Takes the pictures of the admin that the documentation shows.

The example site with a database of its own, some days of invented history, a real worker, and a
real Chromium. `docs/images/admin-*.png` are written anew. It needs playwright and pillow.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "images"
PORT = 8765
SITE = f"http://127.0.0.1:{PORT}"
WIDE = {"width": 1400, "height": 900}
PHONE = {"width": 390, "height": 844}


def main() -> None:
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EXAMPLE_FOLDER"] = folder
        # Playwright keeps an event loop in this thread, which nobody else uses.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        os.environ["DJANGO_SETTINGS_MODULE"] = "example_project.settings"
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        call_command("create_demo_user", verbosity=0)
        with process("daphne", "-p", str(PORT), "example_project.asgi:application"):
            wait_for_site()
            pictures = Pictures()
            pictures.take("empty", "/admin/durably/overview/")
            invent_history()
            with process("django", "run_worker", "--concurrency", "4"):
                take_all(pictures, make_runs())
            pictures.close()


@contextmanager
def process(*words: str) -> Iterator[None]:
    command = [sys.executable, "-m", *words]
    with Path(os.environ["EXAMPLE_FOLDER"], f"{words[0]}.log").open("wb") as log:
        child = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        child.kill()
        child.wait()


def wait_for_site() -> None:
    import socket

    until(lambda: socket.socket().connect_ex(("127.0.0.1", PORT)) == 0)


def until(asked: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not asked():
        if time.monotonic() > deadline:
            raise TimeoutError(asked)
        time.sleep(0.1)


def invent_history() -> None:
    """Runs of two days, more of them by day, with a bad quarter of an hour."""
    from django_durably import clock
    from django_durably.models import Run, RunLabel
    from django_durably.storage import rollups

    dice = random.Random(7)
    now = clock.now()
    runs = []
    for minute in range(2 * 24 * 60, 0, -1):
        busy = 1 if 300 < minute % 1440 < 800 else 3
        for _ in range(dice.randint(0, 1 + busy)):
            created = now - timedelta(minutes=minute, seconds=-dice.random() * 60)
            bad = 22 < minute < 34 and dice.random() < 0.4
            runs.append(invent_run(dice, created, bad or dice.random() < 0.012))
    Run.objects.bulk_create(runs, batch_size=500)
    labels = [RunLabel(run=run, key=k, value=v) for run in runs for k, v in run.labels.items()]
    RunLabel.objects.bulk_create(labels, batch_size=500)
    while rollups.keep(timedelta(0)):
        pass


def invent_run(dice: random.Random, created: Any, failed: bool) -> Any:
    from django_durably.admin.listing import first_id_of
    from django_durably.models import Run

    job = dice.choices(["nearest-airports", "check-airports", "import-airports"], (12, 5, 1))[0]
    mean = {"nearest-airports": -1.6, "check-airports": -0.3, "import-airports": 2.2}[job]
    started = created + timedelta(seconds=dice.lognormvariate(-3.2, 0.8))
    completed = started + timedelta(seconds=dice.lognormvariate(mean, 0.5))
    status = "failed" if failed else dice.choices(["completed", "cancelled"], (99, 1))[0]
    return Run(
        id=first_id_of(created).__class__(
            int=first_id_of(created).int | 0x7 << 76 | 0b10 << 62 | dice.getrandbits(61)
        ),
        job_name=job,
        status=status,
        input={"icao": "LFPG", "count": 5},
        output={"ok": True} if status == "completed" else None,
        error="Connection to weather.example timed out after 5 s" if failed else None,
        labels={"org": str(dice.randint(1, 9))},
        lease_generation=1,
        created_at=created,
        started_at=started,
        completed_at=completed,
        triggered_by=dice.choice(["demo", "nightly", None]),
    )


def make_runs() -> dict[str, Any]:
    """One run in each state that a page shows differently; a worker executes them meanwhile."""
    from example_project.airports.jobs import check_airports, import_airports, nearest_airports

    labels = {"from": "demo"}
    runs = {"done": import_airports.trigger({"batch_size": 1000}, labels=labels)}
    runs["done"].wait(timeout=120)
    runs["failing"] = check_airports.trigger({"country": "FJ"}, labels={"country": "FJ"})
    runs["nearest"] = nearest_airports.trigger({"icao": "LFPG"}, labels={"org": "4"})
    slow = {"batch_size": 2}
    runs["running"] = import_airports.trigger(slow, labels=labels, concurrency_key="import")

    def settled() -> bool:
        for run in runs.values():
            run.refresh_from_db()
        return runs["failing"].is_terminal and bool(runs["running"].progress)

    until(settled)
    germany = {"country": "DE"}
    runs["waiting"] = import_airports.trigger(germany, labels=labels, concurrency_key="import")
    return runs


class Pictures:
    """A browser that is logged in, and its camera."""

    def __init__(self) -> None:
        from playwright.sync_api import sync_playwright

        self.playwright = sync_playwright().start()
        self.browser = self._launch()
        self.cookies = self._log_in()

    def _launch(self) -> Any:
        import shutil

        program = shutil.which("chromium") or shutil.which("google-chrome")
        return self.playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])

    def _log_in(self) -> Any:
        context = self.browser.new_context()
        page = context.new_page()
        page.goto(f"{SITE}/admin/login/")
        page.fill("#id_username", "demo")
        page.fill("#id_password", "demo")
        page.click("[type=submit]")
        return context.cookies()

    def take(
        self,
        name: str,
        path: str,
        size: dict[str, int] = WIDE,
        scheme: str = "light",
        act: Any = None,
        full: bool = False,
    ) -> None:
        context = self.browser.new_context(viewport=size, color_scheme=scheme)
        context.add_cookies(self.cookies)
        page = context.new_page()
        problems: list[str] = []
        page.on(
            "console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{SITE}{path}", wait_until="load")
        page.evaluate("window.localStorage.setItem('django.admin.navSidebarIsOpen', 'false')")
        page.reload(wait_until="load")
        if act:
            act(page)
        page.wait_for_timeout(400)
        file = PICTURES / f"admin-{name}.png"
        page.screenshot(path=file, full_page=full)
        shrink(file)
        wide = page.evaluate("document.documentElement.scrollWidth")
        print(f"{file.name}: {file.stat().st_size // 1000} kB", *problems)
        if wide > size["width"]:
            print(f"  wider than the window: {wide}")
        context.close()

    def close(self) -> None:
        self.browser.close()
        self.playwright.stop()


def shrink(file: Path) -> None:
    """A page has few colours: a palette makes its picture a third as large."""
    from PIL import Image

    with Image.open(file) as picture:
        picture.convert("RGB").quantize(192).save(file, optimize=True)


def take_all(pictures: Pictures, runs: dict[str, Any]) -> None:
    page_of = {name: f"/admin/durably/run/{run.pk}/change/" for name, run in runs.items()}
    trigger = "/admin/durably/run/trigger/"
    pictures.take("overview", "/admin/durably/overview/")
    pictures.take("overview-dark", "/admin/durably/overview/?period=day", scheme="dark")
    pictures.take("overview-phone", "/admin/durably/overview/", PHONE)
    pictures.take("runs", "/admin/durably/run/")
    pictures.take("runs-dark", "/admin/durably/run/?status=failed", scheme="dark")
    pictures.take("runs-phone", "/admin/durably/run/", PHONE)
    pictures.take("search", "/admin/durably/run/?q=timed+out")
    pictures.take("run", page_of["done"])
    pictures.take("run-running", page_of["running"])
    pictures.take("run-waiting", page_of["waiting"])
    pictures.take("run-failing", page_of["failing"])
    pictures.take("run-failing-dark", page_of["failing"], scheme="dark")
    pictures.take("run-failing-phone", page_of["failing"], PHONE, full=True)
    pictures.take("jobs", trigger)
    pictures.take("trigger", f"{trigger}?job=check-airports", act=fill_wrongly)
    pictures.take("retrigger", f"{trigger}?from={runs['failing'].pk}")
    pictures.take("confirm", "/admin/durably/run/?status=failed", act=ask_to_retrigger)
    pictures.take("index", "/admin/")


def fill_wrongly(page: Any) -> None:
    page.fill("[name=input-country]", "france")
    page.click(".submit-row input")


def ask_to_retrigger(page: Any) -> None:
    for box in page.query_selector_all("input[name=ids]")[:3]:
        box.check()
    page.click("button[value=retrigger]")


if __name__ == "__main__":
    main()
