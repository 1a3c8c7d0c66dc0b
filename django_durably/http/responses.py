"""From handlers to Django views: methods, admission, and answers to what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from django.db import connections
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from django_durably import guard
from django_durably.http.views import Call

if TYPE_CHECKING:
    from django_durably.http.api import DurablyAPI

Handler: TypeAlias = Callable[[Call], Any]
View: TypeAlias = Callable[[HttpRequest], HttpResponse]

V = TypeVar("V", bound=Callable[..., Any])


def make_view(api: DurablyAPI, handlers: Mapping[str, Handler]) -> View:
    """A view that answers each method with the JSON of its handler.

    It is synchronous: Django runs it where the ORM may be used, under WSGI and ASGI alike.
    """

    def view(request: HttpRequest) -> HttpResponse:
        try:
            return _answer(api, handlers, request)
        except Exception as error:
            return guard.answer_error(error, request)

    # By it, a template tag that shows what this API shows finds the policy.
    view.__dict__["api"] = api
    return on_its_own(view)


def on_its_own(view: V) -> V:
    """The view without Django's CSRF token (`guard.check_site` takes its place) and without a
    transaction around the request (each operation has its own, and repeats it when need be)."""
    view = csrf_exempt(view)
    for alias in connections:
        view = non_atomic_requests(alias)(view)
    return view


def _answer(api: DurablyAPI, handlers: Mapping[str, Handler], request: HttpRequest) -> HttpResponse:
    method = "GET" if request.method == "HEAD" else request.method or ""
    if method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": allowed(handlers)})
    if method not in handlers:
        return method_not_allowed(handlers)
    policy = api.policy
    context = guard.admit(policy, request)
    return guard.json_response(handlers[method](Call(request, policy, context)))


def method_not_allowed(methods: Iterable[str]) -> HttpResponse:
    response = guard.error_response("Method not allowed", 405)
    response["Allow"] = allowed(methods)
    return response


def allowed(methods: Iterable[str]) -> str:
    """The header `Allow` of a route with these methods."""
    methods = set(methods)
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


@csrf_exempt
def not_found(request: HttpRequest) -> HttpResponse:
    """Any other path below the mount."""
    return guard.error_response("Not found", 404)
