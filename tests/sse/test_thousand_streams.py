"""A thousand open streams on one web process."""

import asyncio
import resource
import time
from collections import defaultdict
from dataclasses import dataclass

import pytest
from django.db import connection

from tests.sse.authors import Author, in_loop, in_thread
from tests.sse.client import Message, Stream, open_stream
from tests.sse.servers import WebProcess
from tests.support.databases import chosen

pytestmark = [pytest.mark.process, pytest.mark.storm, pytest.mark.timeout(300)]

STREAMS = 1000
RUNS = 10
LINES = 20
EVERYTHING = "/api/runs/subscribe"


@dataclass
class Page:
    """A path, and the runs whose events it is to get."""

    path: str
    wanted: list[Author]
    stream: Stream | None = None

    @property
    def follows_one_run(self) -> bool:
        return "runId" in self.path

    async def open(self, web: WebProcess) -> None:
        self.stream = await open_stream(web.address, self.path)
        assert self.stream.status == 200
        await self.stream.until("stream-open", timeout=120)

    async def read(self) -> dict[str, list[str]]:
        """The log lines that came, by run."""
        assert self.stream is not None
        count = LINES * len(self.wanted) + self.follows_one_run
        lines = defaultdict(list)
        for event in await self.stream.events(count, timeout=120):
            if _is_log(event):
                lines[event.data["runId"]].append(event.data["message"])
        return lines

    def close(self) -> None:
        if self.stream is not None:
            self.stream.writer.close()


def _is_log(event: Message) -> bool:
    return bool(event.data["type"] == "log:write")


def some_pages(authors: list[Author]) -> list[Page]:
    even, odd = authors[::2], authors[1::2]
    kinds = [(f"/api/subscribe?runId={author.id}", [author]) for author in authors]
    kinds += [
        (EVERYTHING, authors),
        (f"{EVERYTHING}?label.number=0", even),
        (f"{EVERYTHING}?label.number=1", odd),
    ]
    return [Page(*kinds[number % len(kinds)]) for number in range(STREAMS)]


def connections_held() -> int:
    """How many connections others than this one hold to the test database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def write(authors: list[Author]) -> None:
    for number in range(LINES):
        for author in authors:
            author.log(str(number))


@pytest.fixture
def many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * STREAMS)), hard))


@pytest.mark.usefixtures("many_files")
@in_loop
async def test_each_gets_every_event_of_its_filter_once_and_in_order(
    web: WebProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    authors = await in_thread(
        lambda: [Author(labels={"number": str(number % 2)}).lease() for number in range(RUNS)]
    )
    pages = some_pages(authors)
    memory, threads, began = web.memory, web.threads, time.monotonic()
    await asyncio.gather(*(page.open(web) for page in pages))
    opened = time.monotonic()
    memory, threads = web.memory - memory, web.threads - threads
    if chosen() == "postgresql":
        # The relay's two (it reads on one and listens on one) and this test's wake-ups.
        assert await in_thread(connections_held) <= 3
    writing = asyncio.create_task(in_thread(write, authors))
    try:
        for page, lines in zip(
            pages, await asyncio.gather(*(page.read() for page in pages)), strict=True
        ):
            assert lines == {
                author.id: [str(number) for number in range(LINES)] for author in page.wanted
            }
        await writing
    finally:
        for page in pages:
            page.close()
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{STREAMS} streams on {chosen()}: {memory / STREAMS / 1024:.0f} KiB and "
            f"{threads / STREAMS:.2f} threads each, opened in {opened - began:.1f} s, "
            f"{sum(LINES * len(page.wanted) for page in pages)} events sent in "
            f"{time.monotonic() - opened:.1f} s"
        )
