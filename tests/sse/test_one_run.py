"""The stream of one run, as a real web process serves it."""

import uuid

import pytest

from django_durably.models import Event
from tests.sse.authors import Author, in_loop, in_thread
from tests.sse.client import Message, open_stream, opened
from tests.sse.conftest import StartWeb
from tests.sse.servers import WebProcess

pytestmark = [pytest.mark.process]

A_DAY = 86_400_000
AWKWARD = {"rows": [0, None, "", False, "\n🛫\r\n"], "large": "ä" * 100_000}


def path_of(author: Author) -> str:
    return f"/api/subscribe?runId={author.id}"


def types(events: list[Message]) -> list[str]:
    return [event.data["type"] for event in events]


@in_loop
async def test_a_pending_run_is_followed_to_its_end(web: WebProcess) -> None:
    author = await in_thread(Author, AWKWARD, labels={"org": "1"})
    async with opened(web.address, path_of(author)) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-cache"
        assert stream.headers["x-accel-buffering"] == "no"
        await stream.until("stream-open")
        await in_thread(lambda: author.lease().progress(1).log("one").complete(AWKWARD))
        events = await stream.events()
    assert types(events) == ["run:leased", "run:progress", "log:write", "run:complete"]
    common = {"runId": author.id, "jobName": "echo", "labels": {"org": "1"}}
    assert events[0].data == {"type": "run:leased", **common, "input": AWKWARD}
    progress = {"progress": {"current": 1}}
    assert events[1].data == {"type": "run:progress", **common, **progress}
    log = {"stepName": None, "level": "info", "message": "one", "data": None}
    assert events[2].data == {"type": "log:write", **common, **log}
    end = {"output": AWKWARD, "duration": 1}
    assert events[3].data == {"type": "run:complete", **common, **end}
    assert all(event.id for event in events)
    assert stream.retry == A_DAY


@in_loop
async def test_a_late_subscriber_gets_the_present_state_first(web: WebProcess) -> None:
    author = await in_thread(lambda: Author({"a": 1}).lease().progress(1, 2, 3).log("before"))
    async with opened(web.address, path_of(author)) as stream:
        leased, progress = await stream.events(2)
        assert leased.data["input"] == {"a": 1}
        assert progress.data["progress"] == {"current": 3}
        await in_thread(lambda: author.log("after").complete())
        rest = await stream.events()
    assert types(rest) == ["log:write", "run:complete"]
    assert rest[0].data["message"] == "after"


@in_loop
async def test_a_finished_run_sends_its_end_and_no_more(web: WebProcess) -> None:
    author = await in_thread(lambda: Author().lease().log("before").fail("no", step="charge"))
    async with opened(web.address, path_of(author)) as stream:
        [event] = await stream.events()
    assert event.data["type"] == "run:fail"
    assert event.data["error"] == "no"
    assert event.data["failedStepName"] == "charge"
    assert stream.retry == A_DAY


@in_loop
async def test_a_finished_run_whose_events_are_gone_sends_its_end(web: WebProcess) -> None:
    author = await in_thread(lambda: Author().lease().complete({"count": 1}))
    await in_thread(Event.objects.all().delete)
    async with opened(web.address, path_of(author)) as stream:
        [event] = await stream.events()
    assert event.data["type"] == "run:complete"
    assert event.data["output"] == {"count": 1}


@in_loop
async def test_a_run_that_is_cancelled_ends_its_stream(web: WebProcess) -> None:
    author = await in_thread(Author)
    async with opened(web.address, path_of(author)) as stream:
        await stream.until("stream-open")
        await in_thread(author.run.cancel)
        [event] = await stream.events()
    assert event.data["type"] == "run:cancel"
    assert stream.retry == A_DAY


@in_loop
async def test_progress_is_throttled_and_its_last_comes_before_the_end(
    start_web: StartWeb,
) -> None:
    web = start_web(durably={"PROGRESS_THROTTLE_MS": 60_000})
    author = await in_thread(lambda: Author().lease())
    async with opened(web.address, path_of(author)) as stream:
        await stream.events(1)
        await in_thread(lambda: author.progress(*range(1, 50)).log("x").complete())
        events = await stream.events()
    assert types(events) == ["run:progress", "log:write", "run:progress", "run:complete"]
    assert [e.data["progress"]["current"] for e in events if "progress" in e.data] == [1, 49]


@in_loop
async def test_progress_that_is_held_back_comes_when_its_time_is_over(web: WebProcess) -> None:
    author = await in_thread(lambda: Author().lease())
    async with opened(web.address, path_of(author)) as stream:
        await stream.events(1)
        await in_thread(author.progress, *range(1, 6))
        seen: list[int] = []
        while seen[-1:] != [5]:
            [event] = await stream.events(1)
            seen.append(event.data["progress"]["current"])
    assert seen[0] == 1
    assert seen == sorted(set(seen))


@in_loop
async def test_events_of_other_runs_are_not_sent(web: WebProcess) -> None:
    author, other = await in_thread(Author), await in_thread(Author)
    async with opened(web.address, path_of(author)) as stream:
        await stream.until("stream-open")
        await in_thread(lambda: other.lease().log("other").complete())
        await in_thread(lambda: author.lease().complete())
        events = await stream.events()
    assert {event.data["runId"] for event in events} == {author.id}
    assert types(events) == ["run:leased", "run:complete"]


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
@in_loop
async def test_it_works_on_every_asgi_server(start_web: StartWeb, server: str) -> None:
    web = start_web(server=server)
    author = await in_thread(Author)
    async with opened(web.address, path_of(author)) as stream:
        await stream.until("stream-open")
        await in_thread(lambda: author.lease().log("hello").complete())
        assert types(await stream.events()) == ["run:leased", "log:write", "run:complete"]


@in_loop
async def test_what_cannot_be_streamed_is_an_error(web: WebProcess) -> None:
    for query, status, error in [
        ("", 400, b"runId query parameter is required"),
        ("?runId=", 400, b"runId query parameter is required"),
        ("?runId=x", 404, b"Run not found"),
        (f"?runId={uuid.uuid4()}", 404, b"Run not found"),
    ]:
        async with await open_stream(web.address, f"/api/subscribe{query}") as stream:
            assert stream.status == status
            assert stream.headers["content-type"] == "application/json"
            assert await stream.body() == b'{"error":"' + error + b'"}'
