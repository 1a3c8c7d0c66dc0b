"""The stream of many runs, as a real web process serves it."""

import pytest

from tests.sse.authors import Author, in_loop, in_thread
from tests.sse.client import open_stream, opened
from tests.sse.servers import WebProcess
from tests.testapp.jobs import echo

pytestmark = [pytest.mark.process]


@in_loop
async def test_it_tells_of_triggers_and_goes_on_after_ends(web: WebProcess) -> None:
    async with opened(web.address, "/api/runs/subscribe") as stream:
        await stream.until("stream-open")
        first = await in_thread(lambda: Author({"a": 1}).lease().complete({"b": 2}))
        second = await in_thread(lambda: Author().lease().fail("no"))
        await in_thread(first.run.delete)
        events = await stream.events(7)
    assert [(event.data["runId"], event.data["type"]) for event in events] == [
        (first.id, "run:trigger"),
        (first.id, "run:leased"),
        (first.id, "run:complete"),
        (second.id, "run:trigger"),
        (second.id, "run:leased"),
        (second.id, "run:fail"),
        (first.id, "run:delete"),
    ]
    assert events[0].data["input"] == {"a": 1}
    assert events[2].data["output"] == {"b": 2}
    assert events[2].data["duration"] == 1
    assert events[5].data["error"] == "no"
    assert all(event.id for event in events)


@in_loop
async def test_it_tells_of_a_trigger_that_was_answered_with_a_waiting_run(web: WebProcess) -> None:
    def trigger_twice() -> None:
        echo.trigger({"n": 1}, concurrency_key="k", labels={"org": "1"})
        echo.trigger({"n": 2}, concurrency_key="k", labels={"org": "2"}, coalesce="skip")

    async with opened(web.address, "/api/runs/subscribe?label.org=1") as stream:
        await stream.until("stream-open")
        await in_thread(trigger_twice)
        trigger, coalesced = await stream.events(2)
    assert trigger.data["type"] == "run:trigger"
    assert coalesced.data["type"] == "run:coalesced"
    assert coalesced.data["labels"] == {"org": "1"}
    assert coalesced.data["skippedInput"] == {"n": 2}
    assert coalesced.data["skippedLabels"] == {"org": "2"}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", "abcd"),
        ("?jobName=echo", "abcd"),
        ("?jobName=other", ""),
        ("?jobName=other&jobName=echo", "abcd"),
        ("?label.org=1", "abd"),
        ("?label.org=1&label.kind=x", "bd"),
        ("?label.org=1&label.org=2", ""),
        ("?label.a/b=%C3%A4%20%26", "cd"),
    ],
)
@in_loop
async def test_only_what_the_filter_matches(web: WebProcess, query: str, wanted: str) -> None:
    def trigger_all() -> None:
        Author({"is": "a"}, labels={"org": "1"})
        Author({"is": "b"}, labels={"org": "1", "kind": "x"})
        Author({"is": "c"}, labels={"org": "2", "a/b": "ä &"})
        Author({"is": "d"}, labels={"org": "1", "kind": "x", "a/b": "ä &"})

    async with (
        opened(web.address, f"/api/runs/subscribe{query}") as stream,
        opened(web.address, "/api/runs/subscribe") as everything,
    ):
        await stream.until("stream-open")
        await everything.until("stream-open")
        await in_thread(trigger_all)
        await everything.events(4)
        found = await stream.events(len(wanted)) if wanted else []
        assert "".join(event.data["input"]["is"] for event in found) == wanted
        with pytest.raises(TimeoutError):
            await stream.events(1, timeout=0.1)


@in_loop
async def test_large_fields_are_left_out(web: WebProcess) -> None:
    large = {"text": "x" * 70_000}
    async with opened(web.address, "/api/runs/subscribe") as stream:
        await stream.until("stream-open")
        await in_thread(lambda: Author({"small": 1}).lease().complete(large))
        trigger, leased, complete = await stream.events(3)
    assert "truncated" not in trigger.data
    assert leased.data["input"] == {"small": 1}
    assert complete.data["output"] is None
    assert complete.data["truncated"] is True
    assert complete.data["duration"] == 1


@in_loop
async def test_a_filter_that_cannot_be_is_an_error(web: WebProcess) -> None:
    async with await open_stream(web.address, "/api/runs/subscribe?label.a%20b=1") as stream:
        assert stream.status == 400
        assert b"label key" in await stream.body()


@in_loop
async def test_a_policy_narrows_the_stream(web: WebProcess) -> None:
    path = "/tenants/runs/subscribe"
    async with opened(web.address, path, headers={"X-Tenant": "1"}) as stream:
        await stream.until("stream-open")
        await in_thread(Author, {"is": "theirs"}, labels={"tenant": "2"})
        await in_thread(Author, {"is": "nobody's"})
        await in_thread(Author, {"is": "mine"}, labels={"tenant": "1"})
        [event] = await stream.events(1)
        assert event.data["input"] == {"is": "mine"}
    theirs = f"{path}?label.tenant=2"
    async with opened(web.address, theirs, headers={"X-Tenant": "1"}) as stream:
        await stream.until("stream-open")
        await in_thread(Author, labels={"tenant": "2"})
        with pytest.raises(TimeoutError):
            await stream.events(1, timeout=0.5)


@in_loop
async def test_a_policy_hides_runs_and_refuses_strangers(web: WebProcess) -> None:
    author = await in_thread(Author, labels={"tenant": "2"})
    path = f"/tenants/subscribe?runId={author.id}"
    for tenant, status in [("1", 404), ("2", 200)]:
        async with await open_stream(web.address, path, headers={"X-Tenant": tenant}) as stream:
            assert stream.status == status
    for refused in (path, "/tenants/runs/subscribe", "/tenants/subscribe"):
        async with await open_stream(web.address, refused) as stream:
            assert stream.status == 401
