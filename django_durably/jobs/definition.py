"""A job as its author wrote it: a function with a name and two schemas."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Self

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured

from django_durably.fields import JOB_NAME_LENGTH
from django_durably.jobs.annotations import MISSING, resolve, underlying
from django_durably.jobs.schema import AnyJson, Nothing, Schema, Typed

_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Definition:
    """A job. `takes_input` tells whether its function has an input parameter."""

    name: str
    func: Callable[..., Any]
    is_async: bool
    input: Schema
    output: Schema
    takes_input: bool

    @classmethod
    def from_function(
        cls,
        func: Callable[..., Any],
        name: str | None = None,
        namespace: Mapping[str, Any] = MappingProxyType({}),
    ) -> Self:
        """The job that `func` is: `(step)` or `(step, input)`, plain or `async`.

        Its name is the function's own, unless given. `namespace` holds names that its annotations
        may use beside the globals of its module. Raises ImproperlyConfigured for anything else.
        """
        _check_kind(func)
        parameter = _input_parameter(func)
        schema_of = partial(_schema, func=func, namespace=namespace)
        return cls(
            name=_check_name(func.__name__ if name is None else name),
            func=func,
            is_async=iscoroutinefunction(func),
            input=schema_of("input", parameter.annotation) if parameter else Nothing("input"),
            output=schema_of("output", inspect.signature(func).return_annotation),
            takes_input=parameter is not None,
        )


def qualified_name(func: Callable[..., Any]) -> str:
    """Where a function is: `shop.jobs.import_csv`."""
    return f"{func.__module__}.{func.__qualname__}"


def _schema(
    what: str, annotation: Any, *, func: Callable[..., Any], namespace: Mapping[str, Any]
) -> Schema:
    if annotation is MISSING or annotation is Any:
        return AnyJson(what)
    return Typed(what, partial(resolve, annotation, func, namespace), qualified_name(func))


def _check_kind(func: Callable[..., Any]) -> None:
    if not inspect.isroutine(func):
        raise ImproperlyConfigured(f"A job must be a function, not {func!r}.")
    inner = underlying(func)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        message = f"The job function {qualified_name(func)} must return its output, not yield it."
        raise ImproperlyConfigured(message)


def _check_name(name: object) -> str:
    if isinstance(name, str) and name.isprintable() and 0 < len(name) <= JOB_NAME_LENGTH:
        return name
    rule = f"1 to {JOB_NAME_LENGTH} printable characters"
    raise ImproperlyConfigured(f"The name of a job must be {rule}, not {name!r}.")


def _input_parameter(func: Callable[..., Any]) -> inspect.Parameter | None:
    """The second positional parameter, if any. The first is the step context."""
    parameters = inspect.signature(func).parameters.values()
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    others = [parameter for parameter in parameters if parameter not in positional[:2]]
    needed = [p.name for p in others if p.default is MISSING and p.kind not in _VARIADIC]
    if not positional or needed:
        message = f"The job function {qualified_name(func)} must take (step) or (step, input)"
        extra = f", and not need {', '.join(needed)}" if needed else ""
        raise ImproperlyConfigured(f"{message}{extra}.")
    return positional[1] if len(positional) > 1 else None
