"""Strict JSON: what may be stored, how it becomes text, and words for what may not.

Stricter than Python's `json`, so that a value means the same in every database: no NaN or
Infinity, no NUL character, no lone surrogate, and no key of an object that is not a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NoReturn

from django.db import connections

from django_durably.conf import get_settings
from django_durably.exceptions import ValidationError

if TYPE_CHECKING:
    from pydantic import ValidationError as PydanticValidationError

MAX_DEPTH: Final = 500
"""How many levels of arrays and objects a value may have; the parsers stop not far above."""

MAX_DEPTH_ON_MARIADB: Final = 30
"""MariaDB's JSON columns refuse 32 levels, and events wrap the value in one of their own."""

_BAD_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_STRINGS: Final = frozenset({str})
_encoder: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(value: Any, what: str) -> str:
    """`value` as compact JSON text. `what` names it in the error.

    Raises ValidationError with the place and the type of what JSON cannot hold.
    """
    try:
        text = _encoder.encode(value)
        text.isascii() or text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        _refuse(value, what, reason=str(error))
    depth = _depth(value)
    # An escaped backslash before "u0000" looks like a NUL here; `_refuse_offender` knows better.
    if "\\u0000" in text or depth is None or depth > MAX_DEPTH_ON_MARIADB:
        _refuse_offender(value, what)
    return text


def decode(text: str | bytes, what: str = "value") -> Any:
    """The value of a JSON text. Raises ValidationError, naming `what`, when it is none."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValidationError(f"{what} is not valid JSON: {error}", field=what) from error


def type_name(value: object) -> str:
    """The type of `value` as an error shows it: `datetime.datetime`, but `set` for a built-in."""
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def explain(error: PydanticValidationError, what: str) -> str:
    """Each field that pydantic refused with its reason, such as `input.count: Field required`."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{_place(what, *detail['loc'])}: {detail['msg']}" for detail in details)


def _place(what: str, *keys: object) -> str:
    """A place inside `what`: `input.rows[3]["first name"]`."""
    for key in keys:
        if isinstance(key, str):
            what += f".{key}" if _NAME.fullmatch(key) else f"[{json.dumps(key)}]"
        else:
            what += f"[{key}]"
    return what


def _depth(value: object) -> int | None:
    """How deep `value` nests, level by level; None when a key of an object is not a string."""
    depth, level = 0, [value]
    # The types are asked first: on every result of every step, this is the faster question.
    while level := [part for part in level if type(part) not in _SCALARS]:
        below: list[object] = []
        for part in level:
            if isinstance(part, dict):
                if not _STRINGS.issuperset(map(type, part)) and not _are_strings(part):
                    return None
                below += part.values()
            elif isinstance(part, list | tuple):
                below += part
        depth, level = depth + 1, below
    return depth


def _are_strings(keys: Iterable[object]) -> bool:
    return all(isinstance(key, str) for key in keys)


def _refuse(value: object, what: str, *, reason: str) -> NoReturn:
    _refuse_offender(value, what)
    raise ValidationError(f"{what} cannot be stored as JSON: {reason}", field=what)


def _refuse_offender(value: object, what: str) -> None:
    for message in _offences(value, what):
        raise ValidationError(message, field=what)


def _offences(value: object, what: str) -> Iterator[str]:
    """What JSON cannot hold in `value`, place by place; without recursion, to survive any depth."""
    limit = _depth_limit()
    waiting: list[tuple[object, str, int]] = [(value, what, 0)]
    while waiting:
        part, place, depth = waiting.pop()
        if (offence := _offence(part)) is not None:
            yield f"{place} {offence}"
        elif not isinstance(part, dict | list | tuple):
            continue
        elif depth == limit:
            yield f"{what} holds itself or nests deeper than {limit} levels"
            return
        else:
            children = part.items() if isinstance(part, dict) else enumerate(part)
            inside = [(child, _place(place, key), depth + 1) for key, child in children]
            waiting.extend(reversed(inside))


def _offence(part: object) -> str | None:
    """What is wrong with `part` itself, not with what it contains."""
    match part:
        case None | bool():
            return None
        case str():
            return _character_offence(part)
        case int():
            return _integer_offence(part)
        case float():
            return None if isfinite(part) else f"is {part}, which JSON does not know"
        case dict():
            return next(filter(None, map(_key_offence, part)), None)
        case list() | tuple():
            return None
        case _:
            return f"is of type {type_name(part)}, which JSON cannot hold"


def _key_offence(key: object) -> str | None:
    if not isinstance(key, str):
        return f"has a key of type {type_name(key)}; the keys of a JSON object are strings"
    return _character_offence(key)


def _character_offence(text: str) -> str | None:
    match = _BAD_CHARACTER.search(text)
    return match and f"holds the character U+{ord(match[0]):04X}, which no database stores"


def _integer_offence(number: int) -> str | None:
    try:
        int.__repr__(number)
    except ValueError:
        return "is an integer with too many digits"
    return None


def _depth_limit() -> int:
    vendor = connections[get_settings().database].vendor
    return MAX_DEPTH_ON_MARIADB if vendor == "mysql" else MAX_DEPTH


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
