"""The stream of one run, as a real web process serves it."""

import pytest

from tests.sse.authors import Author, in_loop, in_thread
from tests.sse.client import opened
from tests.sse.servers import WebProcess

pytestmark = [pytest.mark.process]


@in_loop
async def test_a_pending_run_is_followed_to_its_end(web: WebProcess) -> None:
    author = await in_thread(Author, {"rows": [0, None, "", False, "\n🛫\r\n"]})
    async with opened(web.address, f"/api/subscribe?runId={author.id}") as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-cache"
        assert stream.headers["x-accel-buffering"] == "no"
        await stream.until("stream-open")
        await in_thread(lambda: author.lease().progress(1).log("one").complete({"count": 1}))
        events = await stream.events()
    assert [event.data["type"] for event in events] == [
        "run:leased",
        "run:progress",
        "log:write",
        "run:complete",
    ]
    assert events[0].data == {
        "type": "run:leased",
        "runId": author.id,
        "jobName": "echo",
        "labels": {},
        "input": {"rows": [0, None, "", False, "\n🛫\r\n"]},
    }
    assert events[-1].data["output"] == {"count": 1}
    assert all(event.id for event in events)
    assert stream.retry == 86_400_000
