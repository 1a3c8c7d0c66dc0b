"""Clients that come back: nothing is missing and nothing comes twice, whatever committed late."""

import pytest

from django_durably.models import Event
from tests.sse.authors import Author, in_loop, in_thread, late_event_in_thread, newest_event
from tests.sse.client import Message, opened
from tests.sse.conftest import StartWeb
from tests.sse.servers import WebProcess
from tests.support.databases import chosen

pytestmark = [pytest.mark.process]
out_of_order = pytest.mark.skipif(chosen() == "sqlite", reason="SQLite has one writer at a time")

EVERYTHING = "/api/runs/subscribe"


def path_of(author: Author) -> str:
    return f"/api/subscribe?runId={author.id}"


def messages(events: list[Message]) -> list[str]:
    return [event.data.get("message", event.data["type"]) for event in events]


@in_loop
async def test_a_run_s_stream_goes_on_where_it_broke_off(web: WebProcess) -> None:
    author = await in_thread(lambda: Author().lease())
    async with opened(web.address, path_of(author)) as stream:
        await stream.events(1)
        await in_thread(author.log, "1")
        await stream.events(1)
    await in_thread(lambda: author.log("2").log("3"))
    async with opened(web.address, path_of(author), stream.last_id) as stream:
        assert messages(await stream.events(2)) == ["2", "3"]
        await in_thread(author.log, "4")
        assert messages(await stream.events(1)) == ["4"]
    await in_thread(author.complete)
    async with opened(web.address, path_of(author), stream.last_id) as stream:
        assert messages(await stream.events()) == ["run:complete"]
        assert stream.retry == 86_400_000
    async with opened(web.address, path_of(author), stream.last_id) as stream:
        assert await stream.events() == []
        assert stream.retry == 86_400_000


@in_loop
async def test_what_was_missed_of_a_run_that_has_finished_is_sent(web: WebProcess) -> None:
    author = await in_thread(lambda: Author().lease())
    async with opened(web.address, path_of(author)) as stream:
        await stream.events(1)
    await in_thread(lambda: author.log("1").log("2").complete())
    async with opened(web.address, path_of(author), stream.last_id) as stream:
        assert messages(await stream.events()) == ["1", "2", "run:complete"]


@pytest.mark.parametrize("last_id", ["x", "999999999", "1-2", "999999999-5"])
@in_loop
async def test_an_id_that_means_nothing_gets_the_present_state(
    web: WebProcess, last_id: str
) -> None:
    author = await in_thread(lambda: Author().lease().log("1").progress(7))
    async with opened(web.address, path_of(author), last_id) as stream:
        assert messages(await stream.events(2)) == ["run:leased", "run:progress"]
        await in_thread(author.complete)
        assert messages(await stream.events()) == ["run:complete"]


@in_loop
async def test_an_id_that_is_too_old_gets_the_present_state(web: WebProcess) -> None:
    author = await in_thread(lambda: Author().lease().log("1"))
    old = await in_thread(newest_event)
    await in_thread(lambda: author.log("2").log("3"))
    await in_thread(Event.objects.filter(pk__lte=old + 1).delete)
    async with opened(web.address, path_of(author), str(old)) as stream:
        assert messages(await stream.events(1)) == ["run:leased"]
    async with opened(web.address, path_of(author), str(old + 1)) as stream:
        assert messages(await stream.events(1)) == ["3"]


@in_loop
async def test_a_list_s_stream_goes_on_where_it_broke_off(web: WebProcess) -> None:
    async with opened(web.address, EVERYTHING) as stream:
        await stream.until("stream-open")
    author = await in_thread(lambda: Author().lease().log("1"))
    async with opened(web.address, EVERYTHING, stream.last_id) as stream:
        assert messages(await stream.events(3)) == ["run:trigger", "run:leased", "1"]
        await in_thread(author.complete)
        assert messages(await stream.events(1)) == ["run:complete"]


@in_loop
async def test_a_stream_goes_on_in_a_web_process_that_has_just_started(start_web: StartWeb) -> None:
    first = start_web()
    async with opened(first.address, EVERYTHING) as stream:
        await stream.until("stream-open")
        author = await in_thread(lambda: Author().lease())
        await stream.events(2)
    second = start_web()
    numbers = [str(number) for number in range(600)]

    def log_all() -> None:
        for number in numbers:
            author.step.log.info(number)
        author.flush()
        author.progress(1, 2, 3)

    await in_thread(log_all)
    async with opened(second.address, EVERYTHING, stream.last_id) as stream:
        assert messages(await stream.events(600)) == numbers
        [progress] = await stream.events(1)
        assert progress.data["progress"] == {"current": 3}
        await in_thread(author.log, "and on")
        assert messages(await stream.events(1)) == ["and on"]


@out_of_order
@in_loop
async def test_events_that_commit_late_come_late_but_come(web: WebProcess) -> None:
    author, late_one = await in_thread(lambda: Author().lease()), await in_thread(Author)
    async with (
        opened(web.address, EVERYTHING) as stream,
        late_event_in_thread(late_one.run, "run:cancel") as late,
    ):
        await stream.until("stream-open")
        await in_thread(author.log, "1")
        [event] = await stream.events(1)
        assert event.data["message"] == "1"
        assert event.id == f"{late.id + 1}-{late.id}"
        await in_thread(late.commit)
        [event] = await stream.events(1)
        assert event.data["type"] == "run:cancel"
        assert event.id == str(late.id + 1)
        await in_thread(author.log, "2")
        assert messages(await stream.events(1)) == ["2"]


@out_of_order
@pytest.mark.parametrize("lands", ["while away", "after the return", "never"])
@pytest.mark.parametrize("on", ["the same process", "another process"])
@in_loop
async def test_a_late_event_survives_a_reconnection(
    start_web: StartWeb, lands: str, on: str
) -> None:
    first = start_web()
    second = start_web() if on == "another process" else first
    author, late_one = await in_thread(lambda: Author().lease()), await in_thread(Author)
    async with late_event_in_thread(late_one.run, "run:cancel") as late:
        async with opened(first.address, EVERYTHING) as before:
            await before.until("stream-open")
            await in_thread(author.log, "1")
            await before.events(1)
        if lands == "while away":
            await in_thread(late.commit)
        async with opened(second.address, EVERYTHING, before.last_id) as stream:
            await stream.until("stream-open")
            if lands == "after the return":
                await in_thread(late.commit)
            if lands != "never":
                assert messages(await stream.events(1)) == ["run:cancel"]
            await in_thread(author.log, "2")
            assert messages(await stream.events(1)) == ["2"]


@in_loop
async def test_progress_that_was_held_back_is_not_lost_by_a_reconnection(
    start_web: StartWeb,
) -> None:
    web = start_web(durably={"PROGRESS_THROTTLE_MS": 3000})
    author = await in_thread(lambda: Author().lease())
    async with opened(web.address, path_of(author)) as stream:
        await stream.events(1)
        await in_thread(lambda: author.progress(1, 2).log("passes by"))
        assert messages(await stream.events(2)) == ["run:progress", "passes by"]
        held = stream.last_id
    assert "-" in held
    async with opened(web.address, path_of(author), held) as stream:
        [event] = await stream.events(1)
        assert event.data["progress"] == {"current": 2}
        await in_thread(author.complete)
        assert messages(await stream.events()) == ["run:complete"]
