"""The views of the event streams: admit, narrow, let go of the database, then stream."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from django_durably import guard, parameters
from django_durably.access import Operation, Policy
from django_durably.sse import feeds, streams
from django_durably.sse.reader import let_go_of_databases
from django_durably.storage.cursors import Cursor

AT_ONCE: Final = 20
"""How many requests are admitted at once. All clients come back together after a restart of the
server, each on a thread and a database connection of its own until it is admitted."""
NEEDS_ASGI: Final = "Event streams need ASGI, and this server speaks WSGI"

View = Callable[[HttpRequest], Coroutine[Any, Any, HttpResponseBase]]
Stream = AsyncIterator[bytes]


class API(Protocol):
    """What the views need to know of the API that they belong to."""

    @property
    def policy(self) -> Policy: ...


def subscribe_run(api: API) -> View:
    """``GET /subscribe?runId=``: the events of one run."""

    def open_stream(request: HttpRequest) -> Stream:
        context = guard.admit(api.policy, request)
        run_id = parameters.run_id(request.GET)
        run = guard.find_run(api.policy, context, run_id, Operation.SUBSCRIBE)
        position = _position(request)
        if run.is_terminal:
            return streams.of_portion(feeds.of_finished_run(run.pk, position))
        return streams.of_run(run.pk, position)

    return _streaming(open_stream)


def subscribe_runs(api: API) -> View:
    """``GET /runs/subscribe?jobName=&label.KEY=``: the events of all matching runs."""

    def open_stream(request: HttpRequest) -> Stream:
        context = guard.admit(api.policy, request)
        wanted = parameters.run_filter(request.GET, by_status=False)
        allowed = guard.scope_events(api.policy, context, wanted)
        return streams.of_runs(allowed, _position(request))

    return _streaming(open_stream)


def _position(request: HttpRequest) -> Cursor | None:
    """Where a client wants to go on; None when it does not say, or not clearly.

    One that comes back says it in a header. One that goes on from a page that the server rendered
    cannot set headers, and says it in the query.
    """
    text = request.headers.get("Last-Event-ID") or request.GET.get("lastEventId", "")
    return Cursor.parse(text)


def _streaming(open_stream: Callable[[HttpRequest], Stream]) -> View:
    """The view that answers with this stream, or with the reason why not."""

    def opened(request: HttpRequest) -> Stream:
        try:
            return open_stream(request)
        finally:
            let_go_of_databases()

    async def view(request: HttpRequest) -> HttpResponseBase:
        if request.method != "GET":
            return _other_method(request)
        if not hasattr(request, "scope"):
            return guard.error_response(NEEDS_ASGI, 501)
        try:
            async with _admission():
                stream = await sync_to_async(opened, thread_sensitive=True)(request)
        except Exception as error:
            return guard.answer_error(error, request)
        return _response(stream)

    for alias in connections:
        view = non_atomic_requests(alias)(view)
    return csrf_exempt(view)


def _other_method(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(status=204)
    if request.method != "OPTIONS":
        response = guard.error_response("Method not allowed", 405)
    response["Allow"] = "GET, OPTIONS"
    return response


_admissions: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _admission() -> asyncio.Semaphore:
    return _admissions.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))


def _response(stream: Stream) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        stream,
        content_type="text/event-stream",
        headers={
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
            # Django's GZipMiddleware passes over what has an encoding; it would hold events back.
            "Content-Encoding": "identity",
        },
    )
