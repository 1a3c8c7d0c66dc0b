"""More than a listener's queue holds, and clients that do not keep up."""

import asyncio

import pytest

from tests.sse.authors import Author, in_loop, in_thread
from tests.sse.client import Message, open_stream, opened
from tests.sse.conftest import StartWeb
from tests.sse.servers import WebProcess

pytestmark = [pytest.mark.process]

EVERYTHING = "/api/runs/subscribe"


def log_many(author: Author, *numbers: int, data: object = None) -> None:
    """All in one transaction."""
    for number in numbers:
        author.step.log.info(str(number), data)
    author.flush()


def logged(events: list[Message]) -> list[str]:
    return [event.data["message"] for event in events if event.data["type"] == "log:write"]


@in_loop
async def test_a_burst_reaches_every_listener_whole_and_in_order(web: WebProcess) -> None:
    authors = await in_thread(lambda: [Author().lease() for _ in range(3)])
    paths = [EVERYTHING, *(f"/api/subscribe?runId={author.id}" for author in authors)]
    streams = [await open_stream(web.address, path) for path in paths]
    try:
        for stream in streams:
            await stream.until("stream-open")
        for start in range(0, 1500, 300):
            for author in authors:
                await in_thread(log_many, author, *range(start, start + 300))
        for author in authors:
            await in_thread(author.complete)
        expected = [str(number) for number in range(1500)]
        for author, stream in zip(authors, streams[1:], strict=True):
            assert logged(await stream.events()) == expected
            assert author.id
        found = await streams[0].events(3 * 1501)
        ids = [event.id for event in found]
        assert len(set(ids)) == len(ids)
        for author in authors:
            assert logged([e for e in found if e.data["runId"] == author.id]) == expected
    finally:
        for stream in streams:
            stream.writer.close()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
@in_loop
async def test_a_slow_client_slows_nobody_and_loses_nothing(
    start_web: StartWeb, server: str
) -> None:
    web = start_web(server=server, durably={"STREAM_MAX_BYTES": 2_000_000})
    author = await in_thread(lambda: Author().lease())
    path = f"/api/subscribe?runId={author.id}"
    slow = await open_stream(web.address, path, receive_buffer=4096)
    await slow.until("stream-open")
    numbers = range(600)
    quick: list[str] = []
    async with opened(web.address, path) as stream:
        await stream.until("stream-open")
        for start in numbers[::50]:
            await in_thread(log_many, author, *range(start, start + 50), data="x" * 10_000)
        async with asyncio.timeout(20):
            quick += logged(await stream.events())
            last_id = stream.last_id
            while len(quick) < len(numbers):
                async with opened(web.address, path, last_id) as again:
                    quick += logged(await again.events(len(numbers) - len(quick)))
                    last_id = again.last_id
    assert quick == [str(number) for number in numbers]
    await in_thread(author.complete)
    # Only now does the slow one read. Its stream has ended long ago, so it comes back, and back.
    found = logged(await slow.events())
    slow.writer.close()
    last_id = slow.last_id
    while len(found) < len(numbers):
        async with opened(web.address, path, last_id) as stream:
            found += logged(await stream.events())
            last_id = stream.last_id
    assert found == [str(number) for number in numbers]


@in_loop
async def test_what_the_memory_no_longer_holds_is_read_from_the_table(
    start_web: StartWeb,
) -> None:
    web = start_web()
    author = await in_thread(lambda: Author().lease())
    async with opened(web.address, EVERYTHING) as stream:
        await stream.until("stream-open")
    async with opened(web.address, EVERYTHING) as other:
        await other.until("stream-open")
        for number in range(25):
            await in_thread(log_many, author, number, data="x" * 1_000_000)
        assert len(logged(await other.events(15))) == 15
    async with opened(web.address, EVERYTHING, stream.last_id) as stream:
        found = await stream.events(25)
    assert logged(found) == [str(number) for number in range(25)]
    assert all(event.data["truncated"] for event in found)
