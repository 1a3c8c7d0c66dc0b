"""A real ASGI application: requests at once, each on its own thread, leave nothing open."""

import asyncio
import json
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.db import connection

from django_durably import Run
from tests.http.asking import to_json
from tests.support.waiting import eventually

AT_ONCE = 20
COUNTS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = database()",
}


async def ask(
    method: str, path: str, body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> tuple[int, Any]:
    """One request, as a server hands it to the application."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"content-type", b"application/json"), *headers],
    }
    communicator: Any = ApplicationCommunicator  # untyped
    server = communicator(get_asgi_application(), scope)
    half = len(body) // 2
    await server.send_input({"type": "http.request", "body": body[:half], "more_body": True})
    await server.send_input({"type": "http.request", "body": body[half:]})
    start = await server.receive_output(timeout=20)
    content, more = b"", True
    while more:
        part = await server.receive_output(timeout=20)
        content, more = content + part.get("body", b""), part.get("more_body", False)
    await server.wait()
    return start["status"], json.loads(content)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mount", ["tenants", "async/tenants"])
def test_requests_at_once_leave_no_connection_and_no_thread(mount: str) -> None:
    async def all_at_once() -> list[tuple[int, Any]]:
        body = to_json({"jobName": "echo", "input": {}})
        tenant = ((b"x-tenant", b"one"),)
        triggers = [ask("POST", f"/{mount}/trigger", body, tenant) for _ in range(AT_ONCE)]
        refusals = [ask("GET", f"/{mount}/runs") for _ in range(AT_ONCE)]
        return await asyncio.gather(*triggers, *refusals)

    connections, threads = count_connections(), threading.active_count()
    answers = async_to_sync(all_at_once)()
    assert [status for status, _ in answers] == [200] * AT_ONCE + [401] * AT_ONCE
    assert Run.objects.filter(labels__tenant="one").count() == AT_ONCE
    eventually(lambda: count_connections() <= connections, message="connections are closed")
    eventually(lambda: threading.active_count() <= threads + 1, message="threads have ended")


def count_connections() -> int:
    """The database's connections to the tests' database; SQLite has none to count."""
    if connection.vendor not in COUNTS:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(COUNTS[connection.vendor])
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_body_in_chunks_of_no_declared_length_is_read_and_limited(settings: Any) -> None:
    settings.DURABLY = {"MAX_BODY_BYTES": 1000}
    body = to_json({"jobName": "echo", "input": {"a": "x" * 500}})
    assert async_to_sync(ask)("POST", "/open/trigger", body)[0] == 200
    body = to_json({"jobName": "echo", "input": {"a": "x" * 1000}})
    answer = async_to_sync(ask)("POST", "/open/trigger", body)
    assert answer == (413, {"error": "The body is too large"})


@pytest.mark.django_db(transaction=True)
def test_requests_in_transactions_of_the_site_are_left_out_of_them(settings: Any) -> None:
    """With ATOMIC_REQUESTS, an operation could not be repeated when the database asks for it."""
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        body = to_json({"jobName": "echo", "input": {}})
        assert async_to_sync(ask)("POST", "/open/trigger", body)[0] == 200
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
