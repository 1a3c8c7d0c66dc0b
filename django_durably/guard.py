"""Asking a policy, and answering what is refused: the same for HTTP, event streams and WebSocket.

All of it is plain synchronous code that uses the ORM; each function has an ``a…`` twin that runs
it on the thread of the request. Hooks that are ``async def`` run on the event loop in both.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit
from uuid import UUID

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.utils.http import is_same_domain

from django_durably import projections
from django_durably.access import NotAuthenticated, Operation, Policy, RunFilter
from django_durably.exceptions import ConflictError, NotFoundError, ValidationError
from django_durably.models import Run
from django_durably.storage import database

T = TypeVar("T")

logger = logging.getLogger("django.request")

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
RUN_NOT_FOUND: Final = "Run not found"

# Our own errors, and what policies raise, are written for the caller; Django's name internals.
_STATUSES: Final[tuple[tuple[type[Exception], int, Callable[[Exception], str]], ...]] = (
    (ValidationError, 400, str),
    (NotAuthenticated, 401, str),
    (PermissionDenied, 403, lambda error: str(error) or "Permission denied"),
    (NotFoundError, 404, str),
    (Http404, 404, lambda error: "Not found"),
    (ConflictError, 409, str),
    (RequestDataTooBig, 413, lambda error: "The body is too large"),
    (SuspiciousOperation, 400, lambda error: "Bad request"),
    (UnreadablePostError, 400, lambda error: "The body could not be read"),
)


def call(hook: Callable[..., T | Awaitable[T]], *args: Any) -> T:
    """What a hook answers, be it ``def`` or ``async def``. Not for a running event loop."""
    answer: Any = hook(*args)
    if isawaitable(answer):
        answer = async_to_sync(_awaited)(answer)
    return cast(T, answer)


async def _awaited(answer: Awaitable[T]) -> T:
    return await answer


def admit(policy: Policy, request: HttpRequest) -> Any:
    """The context of this request for the policy's other hooks.

    Raises PermissionDenied for a cross-site unsafe request, NotAuthenticated.
    """
    if policy.cookies:
        check_site(request)
    return call(policy.authenticate, request)


def find_run(policy: Policy, context: Any, run_id: str, operation: str = Operation.READ) -> Run:
    """The run of this id, if the caller may do the operation with it.

    Raises NotFoundError when there is none or the caller may not even read it, PermissionDenied
    when the caller may read it but not do this.
    """
    run = _load(run_id)
    try:
        call(policy.authorize_run, context, run, operation)
    except NotFoundError:
        raise NotFoundError(RUN_NOT_FOUND) from None
    except PermissionDenied:
        if operation == Operation.READ or not may_read(policy, context, run):
            raise NotFoundError(RUN_NOT_FOUND) from None
        raise
    return run


def may_read(policy: Policy, context: Any, run: Run) -> bool:
    """Whether the caller may know that this run exists."""
    try:
        call(policy.authorize_run, context, run, Operation.READ)
    except (PermissionDenied, NotFoundError):
        return False
    return True


def _load(run_id: str) -> Run:
    runs = Run.objects.using(database.connection().alias)
    try:
        return runs.get(pk=UUID(run_id))
    except (ValueError, Run.DoesNotExist):
        raise NotFoundError(RUN_NOT_FOUND) from None


def scope_runs(policy: Policy, context: Any, filter: RunFilter) -> RunFilter:
    """The filter, narrowed to what the caller may see. Raises PermissionDenied."""
    return _filter_from(policy.scope_runs, context, filter)


def scope_events(policy: Policy, context: Any, filter: RunFilter) -> RunFilter:
    """The filter, narrowed to the runs whose events the caller may see. Raises PermissionDenied."""
    return _filter_from(policy.scope_events, context, filter)


def _filter_from(hook: Callable[..., Any], context: Any, filter: RunFilter) -> RunFilter:
    scoped = call(hook, context, filter)
    if not isinstance(scoped, RunFilter):
        raise TypeError(f"{hook!r} must return a RunFilter, not {scoped!r}")
    return scoped


acall = sync_to_async(call, thread_sensitive=True)
aadmit = sync_to_async(admit, thread_sensitive=True)
afind_run = sync_to_async(find_run, thread_sensitive=True)
ascope_runs = sync_to_async(scope_runs, thread_sensitive=True)
ascope_events = sync_to_async(scope_events, thread_sensitive=True)


def check_site(request: HttpRequest) -> None:
    """Refuse an unsafe request that a page of another site made the browser send.

    Raises PermissionDenied. A request with neither header is not a browser's.
    """
    origin = request.headers.get("Origin")
    if request.method in SAFE_METHODS or (origin is not None and is_trusted_origin(origin)):
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        refused = site not in ("same-origin", "none")
    else:
        refused = origin is not None and origin != f"{request.scheme}://{request.get_host()}"
    if refused:
        raise PermissionDenied("Cross-site request refused")


def is_trusted_origin(origin: str) -> bool:
    """Whether `CSRF_TRUSTED_ORIGINS` names this origin, by itself or by `https://*.example.com`."""
    try:
        asking = urlsplit(origin)
    except ValueError:
        return False
    return any(
        asking.scheme == trusted.scheme
        and (
            origin == trusted.geturl()
            or (
                trusted.netloc.startswith("*")
                and is_same_domain(asking.netloc, trusted.netloc.lstrip("*"))
            )
        )
        for trusted in map(urlsplit, settings.CSRF_TRUSTED_ORIGINS)
    )


def answer_error(error: Exception, request: HttpRequest) -> HttpResponse:
    """The answer to a request that raised this: its status and `{"error": message}`.

    What is not expected is logged and reported as Django does it, and answered with 500.
    """
    for kind, status, words in _STATUSES:
        if isinstance(error, kind):
            response = error_response(words(error), status)
            _add_challenge(response, error)
            return response
    got_request_exception.send(sender=None, request=request)
    logger.error(
        "Internal Server Error: %s",
        request.path,
        exc_info=error,
        extra={"status_code": 500, "request": request},
    )
    return error_response("Internal server error", 500)


def _add_challenge(response: HttpResponse, error: Exception) -> None:
    if isinstance(error, NotAuthenticated) and error.challenge is not None:
        response["WWW-Authenticate"] = error.challenge


def error_response(message: str, status: int) -> HttpResponse:
    return json_response({"error": message}, status)


def json_response(data: Any, status: int = 200) -> HttpResponse:
    """JSON that nobody keeps a copy of: it is what the caller may see now."""
    return HttpResponse(
        projections.to_bytes(data),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
