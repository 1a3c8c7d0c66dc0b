"""Reading a request's body: no more of it than is allowed, and only a JSON object."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest

from django_durably import values
from django_durably.conf import get_settings
from django_durably.exceptions import ValidationError


def read_object(request: HttpRequest) -> dict[str, Any]:
    """The JSON object in the body. Raises RequestDataTooBig before it reads, ValidationError."""
    body = values.decode(_read(request), "body")
    if not isinstance(body, dict):
        raise ValidationError(
            f"body must be a JSON object, not {values.type_name(body)}", field="body"
        )
    return body


def _read(request: HttpRequest) -> bytes:
    limit = get_settings().max_body_bytes
    declared = request.META.get("CONTENT_LENGTH") or ""
    if declared.isdecimal() and int(declared) > limit:
        raise RequestDataTooBig
    # Who sends in chunks declares no length.
    body = request.body if declared else request.read(limit + 1)
    if len(body) > limit:
        raise RequestDataTooBig
    return body
