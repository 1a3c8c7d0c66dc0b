"""Pages that come and go between two web processes, while transactions commit in random order."""

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.sse.authors import Author, LateEvent, in_loop, in_thread
from tests.sse.client import Stream, open_stream
from tests.sse.conftest import StartWeb
from tests.sse.servers import WebProcess
from tests.support.databases import chosen

pytestmark = [pytest.mark.process]

EVERYTHING = "/api/runs/subscribe"
PAGES = 6
LINES = 300


class Writer:
    """Writes log lines, some of them in transactions that end late, in any order, or fail."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._authors = [Author().lease() for _ in range(4)]
        self._late_run = Author().run
        self._open: list[tuple[str, LateEvent]] = []
        self.committed: list[str] = []

    def write(self, number: int) -> None:
        if chosen() != "sqlite" and self._dice.random() < 0.3:
            self._begin(f"late {number}")
        if len(self._open) > 5:
            self._end(self._dice.random() < 0.8)
        self._dice.choice(self._authors).log(str(number))
        self.committed.append(str(number))

    def finish(self) -> None:
        while self._open:
            self._end(commits=True)

    def _begin(self, line: str) -> None:
        event = LateEvent(self._late_run, "log:write", f'{{"message": "{line}"}}')
        self._open.append((line, event))

    def _end(self, commits: bool) -> None:
        line, event = self._open.pop(self._dice.randrange(len(self._open)))
        if commits:
            event.commit()
            self.committed.append(line)
        else:
            event.close()


class Page:
    """A browser's page that reads a little here and a little there."""

    def __init__(self, webs: list[WebProcess], dice: random.Random) -> None:
        self._webs = webs
        self._dice = dice
        self._last_id = ""
        self.lines: list[str] = []
        self.is_open = asyncio.Event()

    async def read_until(self, has_all: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(60):
            while not has_all(self.lines):
                await self._visit()

    async def _visit(self) -> None:
        web = self._dice.choice(self._webs)
        async with await open_stream(web.address, EVERYTHING, self._last_id) as stream:
            assert stream.status == 200
            await stream.until("stream-open")
            self.is_open.set()
            await self._read_some(stream, self._dice.randrange(1, 60))
            self._last_id = stream.last_id

    async def _read_some(self, stream: Stream, count: int) -> None:
        """At most so many events, and none that does not come within a moment."""
        try:
            async with asyncio.timeout(self._dice.random()):
                for _ in range(count):
                    [event] = await stream.events(1)
                    if event.data["type"] == "log:write":
                        self.lines.append(event.data["message"])
        except TimeoutError:
            pass


@pytest.mark.parametrize("seed", range(3))
@in_loop
async def test_they_miss_nothing_and_see_nothing_twice(start_web: StartWeb, seed: int) -> None:
    dice = random.Random(seed)
    webs = [start_web(), start_web()]
    writer = await in_thread(Writer, dice)
    pages = [Page(webs, random.Random(f"{seed} {number}")) for number in range(PAGES)]
    written = asyncio.Event()

    def has_all(lines: list[str]) -> bool:
        return written.is_set() and len(lines) >= len(writer.committed)

    reading = [asyncio.create_task(page.read_until(has_all)) for page in pages]
    for page in pages:
        await page.is_open.wait()
    for number in range(LINES):
        await in_thread(writer.write, number)
    await in_thread(writer.finish)
    written.set()
    await asyncio.gather(*reading)
    for page in pages:
        assert sorted(page.lines) == sorted(writer.committed)
        in_order = [int(line) for line in page.lines if line.isdigit()]
        assert in_order == sorted(in_order)
