"""The request that opens a WebSocket, as policies know requests."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIRequest

from django_durably import guard
from django_durably.access import Policy

_SCHEMES = {"ws": "http", "wss": "https"}


def request_of(scope: Mapping[str, Any]) -> ASGIRequest:
    """The opening request, with the user and the session that Channels' middleware found."""
    scheme = _SCHEMES[scope.get("scheme", "ws")]
    request = ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": scheme}, BytesIO())
    for name in ("user", "session"):
        if name in scope:
            setattr(request, name, scope[name])
    return request


def admit(policy: Policy, request: ASGIRequest) -> Any:
    """The policy's context. Raises PermissionDenied for a page of another site, NotAuthenticated.

    Browsers let any page open a WebSocket anywhere, with cookies: it counts as an unsafe request.
    """
    if policy.cookies:
        request.method = "CONNECT"
        guard.check_site(request)
        request.method = "GET"
    return guard.call(policy.authenticate, request)
