"""A site that uses django-eventstream itself: its streams and ours do not meet."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.sse.authors import Author, in_loop, in_thread
from tests.sse.client import open_stream, opened
from tests.sse.conftest import StartWeb
from tests.sse.servers import WebProcess
from tests.support.databases import REDIS

pytestmark = [pytest.mark.process]

INSTALLED = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django_eventstream",
    "django_durably",
    "example_project.airports",
    "tests.testapp",
]
ADDRESS = urlsplit(REDIS.url)
NEWS = "/news/?channel=news"


async def announce(web: WebProcess, text: str) -> None:
    async with await open_stream(web.address, f"/announce/?text={text}") as answer:
        assert await answer.body() == b"sent"


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="not installed"),
        pytest.param({"INSTALLED_APPS": INSTALLED}, id="installed"),
        pytest.param(
            {"EVENTSTREAM_REDIS": {"host": ADDRESS.hostname, "port": ADDRESS.port}},
            id="with Redis",
            marks=pytest.mark.redis,
        ),
    ],
)
@in_loop
async def test_neither_sees_what_is_the_other_s(
    start_web: StartWeb, settings: dict[str, object]
) -> None:
    web = start_web(settings=settings)
    async with (
        opened(web.address, "/api/runs/subscribe") as ours,
        opened(web.address, NEWS) as theirs,
    ):
        await ours.until("stream-open")
        await theirs.until("stream-open")
        author = await in_thread(lambda: Author().lease())
        assert len(await ours.events(2)) == 2
        # Redis delivers to those who have subscribed by then.
        first = asyncio.create_task(theirs.events(1))
        for number in range(100):
            await announce(web, str(number))
            if (await asyncio.wait([first], timeout=0.2))[0]:
                break
        seen = [event.text for event in await first]
        await in_thread(lambda: author.log("ours").complete())
        await announce(web, "last")
        while seen[-1] != '"last"':
            seen += [event.text for event in await theirs.events(1)]
        assert len(set(seen)) == len(seen)
        events = await ours.events(2)
        assert [event.data["type"] for event in events] == ["log:write", "run:complete"]


@in_loop
async def test_our_channels_cannot_be_asked_for_at_their_endpoint(start_web: StartWeb) -> None:
    web = start_web()
    author = await in_thread(lambda: Author().lease())
    async with (
        opened(web.address, f"/news/?channel=run:{author.id}&channel=runs?") as theirs,
        opened(web.address, f"/api/subscribe?runId={author.id}") as ours,
    ):
        await theirs.until("stream-open")
        await ours.until("stream-open")
        await in_thread(author.log, "secret")
        assert (await ours.events(2))[1].data["message"] == "secret"
        with pytest.raises(TimeoutError):
            await theirs.events(1, timeout=0.5)
