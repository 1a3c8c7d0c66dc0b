"""Streams while the database breaks connections, and while a policy or a request is at fault."""

import pytest
from django.db import connection

from tests.sse.authors import Author, in_loop, in_thread
from tests.sse.client import open_stream, opened
from tests.sse.servers import WebProcess
from tests.support.databases import chosen

pytestmark = [pytest.mark.process]

KILL = {
    "postgresql": (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ),
    "mariadb": (
        "SELECT id FROM information_schema.processlist "
        "WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    ),
}


def kill_all_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(KILL[chosen()])
        victims = cursor.fetchall()
        if chosen() == "mariadb":
            for (victim,) in victims:
                cursor.execute(f"KILL {int(victim)}")
        return len(victims)


@pytest.mark.skipif(chosen() == "sqlite", reason="SQLite has no server to lose")
@in_loop
async def test_streams_survive_the_loss_of_every_connection(web: WebProcess) -> None:
    author = await in_thread(lambda: Author().lease())
    async with (
        opened(web.address, f"/api/subscribe?runId={author.id}") as one,
        opened(web.address, "/api/runs/subscribe") as many,
    ):
        await one.events(1)
        await many.until("stream-open")
        for number in range(3):
            assert await in_thread(kill_all_connections) > 0
            await in_thread(author.log, str(number))
            for stream in (one, many):
                [event] = await stream.events(1)
                assert event.data["message"] == str(number)


@in_loop
async def test_a_cross_site_page_gets_what_its_cookies_are_worth_and_no_more(
    web: WebProcess,
) -> None:
    """Reading is safe; what another site's page may see of the answer is up to CORS."""
    author = await in_thread(lambda: Author().lease().complete())
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    path = f"/api/subscribe?runId={author.id}"
    async with await open_stream(web.address, path, headers=headers) as stream:
        assert stream.status == 200
        assert "access-control-allow-origin" not in stream.headers
