"""What a value must be to go into a job or come out of it, and its form as JSON.

Three kinds: a type known to pydantic's `TypeAdapter`, any JSON value, and nothing at all. Adapters
are built on first use, so that importing a site's jobs imports and builds nothing of pydantic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.core.exceptions import ImproperlyConfigured

from django_durably.exceptions import ValidationError
from django_durably.values import decode, encode, explain, type_name

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


class Schema(ABC):
    """Validates values. `what` ("input", "output") names the value in every error."""

    what: str

    @abstractmethod
    def validate(self, value: Any) -> Any:
        """The Python object that `value` stands for: JSON data, or such an object already.

        The result is what a later `validate` of its stored JSON gives. Raises ValidationError,
        naming each field that is wrong: `input.count: Input should be a valid integer`.
        """

    @abstractmethod
    def dump(self, value: Any) -> str:
        """The strict JSON text of a validated value. Raises ValidationError."""

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of the stored value."""


class AnyJson(Schema):
    """Whatever JSON can hold: the schema of what has no annotation."""

    def __init__(self, what: str) -> None:
        self.what = what

    def validate(self, value: Any) -> Any:
        return round_trip(value, encode(value, self.what))

    def dump(self, value: Any) -> str:
        return encode(value, self.what)

    def json_schema(self) -> dict[str, Any]:
        return {}


class Nothing(Schema):
    """The input of a job that takes none: `{}` or None, stored as `{}`."""

    _JSON_SCHEMA: ClassVar = {"type": ["object", "null"], "maxProperties": 0}

    def __init__(self, what: str) -> None:
        self.what = what

    def validate(self, value: Any) -> Any:
        if value is None or value == {}:
            return {}
        message = f"{self.what}: this job takes no input, not {type_name(value)}"
        raise ValidationError(message, field=self.what)

    def dump(self, value: Any) -> str:
        return "{}"

    def json_schema(self) -> dict[str, Any]:
        return dict(self._JSON_SCHEMA)


class Typed(Schema):
    """A type: a pydantic model, dataclass, TypedDict or anything else that `TypeAdapter` takes.

    `resolve` gives the type, when it is needed. `owner` is the function that an error about an
    unusable type names. An input leaves out what a model computes; an output has it.
    """

    def __init__(self, what: str, resolve: Callable[[], Any], owner: str) -> None:
        self.what = what
        self._resolve = resolve
        self._owner = owner

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Pydantic's adapter. Raises ImproperlyConfigured when it cannot be built."""
        from pydantic import TypeAdapter

        try:
            return TypeAdapter(self._resolve())
        except Exception as error:
            reason = str(error).split("\n", 1)[0]
            message = f"The {self.what} annotation of {self._owner} cannot be used: {reason}"
            raise ImproperlyConfigured(message) from error

    def validate(self, value: Any) -> Any:
        validated = validate(self.adapter, value, self.what)
        if is_plain(value):
            return validated
        # An object may have been made or changed without validation: what counts is its JSON.
        return validate(self.adapter, decode(self.dump(validated)), self.what)

    def dump(self, value: Any) -> str:
        return dump(self.adapter, value, self.what, computed=self.what == "output")

    def json_schema(self) -> dict[str, Any]:
        mode: Any = "serialization" if self.what == "output" else "validation"
        return self.adapter.json_schema(mode=mode)


def validate(adapter: TypeAdapter[Any], value: Any, what: str) -> Any:
    """`value` as the adapter's type; JSON data for a strict model is welcome, too."""
    from pydantic import ValidationError as Refused

    try:
        return adapter.validate_python(value)
    except Refused as error:
        if not is_plain(value):
            raise ValidationError(explain(error, what)) from error
    try:
        # Strict models accept dates, sets and such only from JSON text.
        return adapter.validate_json(encode(value, what))
    except Refused as error:
        raise ValidationError(explain(error, what)) from error


def dump(adapter: TypeAdapter[Any], value: Any, what: str, *, computed: bool) -> str:
    """The strict JSON text of `value`, with the fields that its models compute or without."""
    to_python = partial(
        adapter.dump_python, value, by_alias=True, round_trip=not computed, warnings="none"
    )
    try:
        text = encode(to_python(mode="json"), what)
        # Pydantic writes Infinity and NaN of a field of any type as null, without a word.
        if "null" in text and _has_infinity(to_python()):
            raise ValidationError(f"{what} cannot be stored as JSON: it holds Infinity or NaN")
    except ValueError as error:  # all that pydantic raises, and a value that holds itself
        raise ValidationError(f"{what} cannot be stored as JSON: {error}") from error
    return text


def _has_infinity(value: Any) -> bool:
    if isinstance(value, float):
        return not isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_has_infinity, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(map(_has_infinity, value))


def is_plain(value: Any) -> bool:
    """Whether `value` is made of JSON's own types only, with no subclass among them."""
    level, seen = [value], set()
    while level:
        below: list[Any] = []
        for part in level:
            kind = type(part)
            if kind in _SCALARS or id(part) in seen:
                continue
            if kind is not dict and kind is not list:
                return False
            seen.add(id(part))
            below += part.values() if kind is dict else part
        level = below
    return True


def round_trip(value: Any, text: str) -> Any:
    """What reading `text`, the JSON text of `value`, gives; without reading it for a scalar."""
    return value if type(value) in _SCALARS else decode(text)
