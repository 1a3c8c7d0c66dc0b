"""Labels: short texts by which runs are found. What is a label, and what a project allows.

The alphabet of the keys comes from the wire protocol, in which they are part of query parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_durably.conf import SETTING, get_settings
from django_durably.exceptions import ValidationError
from django_durably.fields import LABEL_KEY_LENGTH, LABEL_VALUE_LENGTH
from django_durably.values import explain, type_name

MAX_LABELS: Final = 32
"""How many labels one run may carry."""

MAX_KEY_LENGTH: Final = LABEL_KEY_LENGTH
MAX_VALUE_LENGTH: Final = LABEL_VALUE_LENGTH

_KEY: Final = re.compile(rf"[A-Za-z0-9_./-]{{1,{MAX_KEY_LENGTH}}}")
_BAD_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")


def validate(labels: object) -> dict[str, str]:
    """The labels for a run: a mapping (or None) that keeps the rules and the project's schema.

    Raises ValidationError, naming the label.
    """
    checked = check(labels)
    schema = get_settings().labels
    if schema is not None:
        _match(schema, checked)
    return checked


def check(labels: object) -> dict[str, str]:
    """The labels, when they keep the rules for keys, values and number; for filters, too."""
    if labels is None:
        return {}
    if not isinstance(labels, Mapping):
        raise ValidationError(f"labels must be an object, not {type_name(labels)}", field="labels")
    if len(labels) > MAX_LABELS:
        raise ValidationError(f"labels must be at most {MAX_LABELS}", field="labels")
    return {check_key(key): _check_value(key, value) for key, value in labels.items()}


def check_key(key: object) -> str:
    """The key of a label; raises ValidationError when it is none."""
    if isinstance(key, str) and _KEY.fullmatch(key):
        return key
    rule = f"1 to {MAX_KEY_LENGTH} characters of A-Z a-z 0-9 _ . / -"
    raise ValidationError(f"label key {key!r} must be {rule}", field="labels")


def _check_value(key: str, value: object) -> str:
    problem = _problem_of(value)
    if problem:
        raise ValidationError(f"labels.{key} {problem}", field=f"labels.{key}")
    return str(value)


def _problem_of(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be a string, not {type_name(value)}"
    if len(value) > MAX_VALUE_LENGTH:
        return f"must have at most {MAX_VALUE_LENGTH} characters"
    if _BAD_CHARACTER.search(value):
        return "must not hold NUL characters or lone surrogates"
    return None


def _match(schema: type | str, labels: dict[str, str]) -> None:
    from pydantic import ValidationError as Refused

    try:
        known = load_schema(schema)(labels)
    except Refused as error:
        raise ValidationError(explain(error, "labels"), field="labels") from error
    if unknown := [key for key in labels if key not in known]:
        names = ", ".join(unknown)
        raise ValidationError(f"labels: {names} not among the project's labels", field="labels")


@lru_cache(maxsize=8)
def load_schema(schema: type | str) -> Callable[[dict[str, str]], Mapping[str, Any]]:
    """What matches labels against `schema`, a TypedDict or pydantic model or its dotted path.

    The result validates a dictionary of labels, raising pydantic's error, and gives back those
    that the schema knows. Raises ImproperlyConfigured when `schema` is neither.
    """
    # Only a project that has a schema pays for importing pydantic here.
    from pydantic import BaseModel, PydanticUserError, TypeAdapter
    from typing_extensions import is_typeddict

    kind = import_string(schema) if isinstance(schema, str) else schema
    if not (is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))):
        message = f"{SETTING}['LABELS'] must be a TypedDict or pydantic model, not {kind!r}."
        raise ImproperlyConfigured(message)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
    except PydanticUserError as error:
        raise ImproperlyConfigured(f"{SETTING}['LABELS'] is unusable: {error}") from error
    return lambda labels: adapter.dump_python(adapter.validate_python(labels), by_alias=True)
