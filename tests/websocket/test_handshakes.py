"""The opening request of a WebSocket, as a policy sees it."""

from typing import Any

import pytest
from django.core.exceptions import DisallowedHost, PermissionDenied

from django_durably.access import AllowAny
from django_durably.websocket import handshakes


def scope(scheme: str = "ws", **headers: str) -> dict[str, Any]:
    pairs = {"host": "testserver", **headers}
    return {
        "type": "websocket",
        "path": "/ws/durably",
        "scheme": scheme,
        "query_string": b"a=1",
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in pairs.items()
        ],
        "client": ["127.0.0.1", 1],
        "server": ["127.0.0.1", 80],
    }


def test_it_is_a_request_with_what_middleware_has_found() -> None:
    user = object()
    request = handshakes.request_of({**scope(cookie="a=b"), "user": user, "session": {"x": 1}})
    assert request.user is user
    assert request.session == {"x": 1}
    assert request.COOKIES == {"a": "b"}
    assert request.GET["a"] == "1"
    assert request.method == "GET"
    assert (request.scheme, request.get_host()) == ("http", "testserver")
    assert handshakes.request_of(scope("wss")).scheme == "https"
    assert not hasattr(handshakes.request_of(scope()), "user")


@pytest.mark.parametrize("origin", ["https://testserver", "http://evil.example", "null"])
def test_another_origin_is_refused(origin: str) -> None:
    with pytest.raises(PermissionDenied):
        handshakes.admit(AllowAny(), handshakes.request_of(scope(origin=origin)))


def test_its_own_origin_is_admitted_and_so_is_no_browser() -> None:
    handshakes.admit(AllowAny(), handshakes.request_of(scope(origin="http://testserver")))
    handshakes.admit(AllowAny(), handshakes.request_of(scope("wss", origin="https://testserver")))
    handshakes.admit(AllowAny(), handshakes.request_of(scope()))


def test_a_policy_without_cookies_admits_every_origin() -> None:
    class Tokens(AllowAny):
        cookies = False

    handshakes.admit(Tokens(), handshakes.request_of(scope(origin="http://evil.example")))


def test_an_unknown_host_is_refused() -> None:
    with pytest.raises(DisallowedHost):
        handshakes.admit(
            AllowAny(), handshakes.request_of(scope(host="evil.example", origin="http://x"))
        )
