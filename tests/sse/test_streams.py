"""Streams inside the test's process: how they end, keep alive, and let go of what they hold."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from django.db import connections
from django.test import AsyncClient, Client, override_settings

from django_durably.sse import relay, streams
from django_durably.storage.cursors import Cursor
from django_durably.storage.queries import RunFilter
from tests.sse.authors import Author, in_loop, in_thread

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.sse.urls"),
]

EVERYTHING = RunFilter()


async def read(stream: AsyncIterator[bytes]) -> str:
    async with asyncio.timeout(20):
        return (await anext(stream)).decode()


async def read_all(stream: AsyncIterator[bytes]) -> str:
    async with asyncio.timeout(20):
        return "".join([chunk.decode() async for chunk in stream])


@in_loop
async def test_a_quiet_stream_is_kept_alive_and_moves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)
    stream = streams.of_runs(EVERYTHING.with_jobs("none"), None)
    opening = await read(stream)
    assert opening.startswith("event: stream-open\nid: ")
    await in_thread(lambda: Author().lease().log("of no interest"))
    async with asyncio.timeout(20):
        while (kept := await read(stream)).replace("keep-alive", "stream-open") == opening:
            assert kept.startswith("event: keep-alive\nid: ")
    await stream.aclose()


@override_settings(DURABLY={"STREAM_SECONDS": 0.2})
@in_loop
async def test_a_stream_ends_after_its_time() -> None:
    assert (await read_all(streams.of_runs(EVERYTHING, None))).count("event: stream-open") == 1


@override_settings(DURABLY={"STREAM_MAX_BYTES": 5000})
@in_loop
async def test_a_stream_ends_after_it_has_sent_enough() -> None:
    stream = streams.of_runs(EVERYTHING, None)
    sent = await read(stream)
    author = await in_thread(lambda: Author().lease())
    for number in range(20):
        await in_thread(author.log, f"{number}", "x" * 1000)
    sent += await read_all(stream)
    assert len(sent) >= 5000
    assert sent.count('"type":"log:write"') < 20


@in_loop
async def test_the_relay_ends_a_while_after_its_last_listener(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "LINGER", 0.0)
    stream = streams.of_runs(EVERYTHING, None)
    await read(stream)
    running = relay._Current.relay
    assert running is not None
    assert not running.may_end()
    await stream.aclose()
    await asyncio.to_thread(running._thread.join, 10)
    assert not running._thread.is_alive()
    assert relay._Current.relay is None
    again = streams.of_runs(EVERYTHING, None)
    await read(again)
    assert relay._Current.relay is not running
    await again.aclose()


@in_loop
async def test_streams_end_with_their_relay() -> None:
    stream = streams.of_runs(EVERYTHING, None)
    await read(stream)
    await asyncio.to_thread(relay.close_relay)
    assert await read_all(stream) == ""


@in_loop
async def test_a_stream_that_nobody_reads_listens_to_nothing() -> None:
    stream = streams.of_run((await in_thread(Author)).run.pk, Cursor(1))
    await stream.aclose()
    assert relay._Current.relay is None


@in_loop
async def test_the_views_work_with_the_test_client() -> None:
    author = await in_thread(lambda: Author().lease().complete())
    client = AsyncClient()
    answer = await client.get("/api/subscribe", {"runId": author.id})
    assert answer.status_code == 200
    assert "Content-Encoding" in answer.headers
    sent = await read_all(aiter(answer.streaming_content))  # type: ignore[attr-defined]
    assert '"type":"run:complete"' in sent
    assert "retry: 86400000" in sent
    answer = await client.post("/api/subscribe")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, OPTIONS")
    answer = await client.options("/api/runs/subscribe")
    assert (answer.status_code, answer["Allow"]) == (204, "GET, OPTIONS")


@pytest.mark.parametrize("path", ["/api/subscribe?runId=x", "/api/runs/subscribe"])
def test_under_wsgi_it_says_what_it_needs(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 501
    assert "ASGI" in answer.json()["error"]


@in_loop
async def test_a_request_s_connections_are_closed_before_it_streams() -> None:
    author = await in_thread(Author)

    def is_open() -> bool:
        return connections["default"].connection is not None

    assert await in_thread(is_open)
    answer = await AsyncClient().get("/api/subscribe", {"runId": author.id})
    assert answer.status_code == 200
    assert not await in_thread(is_open)
    answer.close()
