"""How the result of a step becomes JSON and comes back, so that the first execution of a step
returns exactly what its replay will.

The return annotation of the step's function decides, unless it is missing, unusable, or made of
JSON's own types only: then the result must be plain JSON, and the annotation is not enforced.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Callable
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Union, get_args, get_origin
from weakref import WeakKeyDictionary

from django_durably.jobs import schema
from django_durably.jobs.annotations import MISSING, resolve, return_annotation, underlying
from django_durably.values import decode, encode

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_PLAIN: Final = frozenset({None, NoneType, bool, int, float, str, list, dict, Any, object})
_CONTAINERS: Final = frozenset({list, dict, Union, UnionType})
# Pydantic would turn these into iterators that can be read once.
_UNUSABLE: Final = frozenset(
    {
        collections.abc.AsyncGenerator,
        collections.abc.AsyncIterable,
        collections.abc.AsyncIterator,
        collections.abc.Awaitable,
        collections.abc.Callable,
        collections.abc.Coroutine,
        collections.abc.Generator,
        collections.abc.Iterable,
        collections.abc.Iterator,
    }
)

_adapters: WeakKeyDictionary[Any, TypeAdapter[Any] | None] = WeakKeyDictionary()


def dump(name: str, function: Callable[..., Any], value: Any) -> tuple[str, Any]:
    """The JSON text of the result of the step `name`, and the result as a replay will see it.

    Raises ValidationError, naming the step and the type, when JSON cannot hold the result or it
    does not fit the annotation.
    """
    what = f"The result of step {name!r}"
    adapter = _adapter_of(function)
    if adapter is None:
        text = encode(value, what)
        return text, schema.round_trip(value, text)
    text = schema.dump(adapter, value, what, computed=False)
    return text, schema.validate(adapter, decode(text), what)


def load(function: Callable[..., Any], stored: Any) -> Any:
    """The result that was stored as the JSON value `stored`, as `dump` has returned it.

    Raises ValidationError when the function is annotated otherwise by now and it does not fit.
    """
    adapter = _adapter_of(function)
    if adapter is None:
        return stored
    return schema.validate(adapter, stored, f"The stored result of {function!r}")


def _adapter_of(function: Callable[..., Any]) -> TypeAdapter[Any] | None:
    annotation = return_annotation(function)
    if annotation is MISSING:
        return None
    inner = underlying(function)
    if inner not in _adapters:
        _adapters[inner] = _build(annotation, inner)
    return _adapters[inner]


def _build(annotation: Any, function: Callable[..., Any]) -> TypeAdapter[Any] | None:
    try:
        kind = resolve(annotation, function)
        return None if _is_plain(kind) else _adapter_for(kind)
    except Exception:  # evaluating an annotation may raise anything, and steps need none
        return None


def _adapter_for(kind: Any) -> TypeAdapter[Any]:
    try:
        return _shared_adapter(kind)
    except TypeError:  # the metadata of Annotated need not be hashable
        return _new_adapter(kind)


def _new_adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


# By annotation, since inner functions are new at every execution of a body.
_shared_adapter: Final = lru_cache(maxsize=512)(_new_adapter)


def _is_plain(kind: Any) -> bool:
    """Whether values of this annotation are their own JSON, or nobody can say what they are."""
    origin = get_origin(kind)
    if origin is None:
        return kind in _PLAIN or kind in _UNUSABLE or isinstance(kind, TypeVar)
    if origin is Literal:
        return all(type(value) in _PLAIN for value in get_args(kind))
    if origin in _CONTAINERS:
        return all(map(_is_plain, get_args(kind)))
    return origin in _UNUSABLE
