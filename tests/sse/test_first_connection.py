"""A page that the server rendered knows its place in the log, and has not yet been connected."""

import pytest

from tests.sse.authors import Author, in_loop, in_thread, newest_event
from tests.sse.client import Message, opened
from tests.sse.servers import WebProcess

pytestmark = [pytest.mark.process]


def messages(events: list[Message]) -> list[str]:
    return [event.data.get("message", event.data["type"]) for event in events]


@pytest.mark.parametrize("path", ["/api/subscribe?runId={id}&", "/api/runs/subscribe?"])
@in_loop
async def test_the_query_says_where_to_go_on(web: WebProcess, path: str) -> None:
    author = await in_thread(lambda: Author().lease().log("rendered"))
    place = await in_thread(newest_event)
    await in_thread(author.log, "missed")
    url = f"{path.format(id=author.id)}lastEventId={place}"
    async with opened(web.address, url) as stream:
        assert messages(await stream.events(1)) == ["missed"]
        await in_thread(author.log, "new")
        assert messages(await stream.events(1)) == ["new"]
        last_id = stream.last_id
    await in_thread(author.log, "later")
    # EventSource comes back with the address that it began with, and a header that knows better.
    async with opened(web.address, url, last_id) as stream:
        assert messages(await stream.events(1)) == ["later"]
