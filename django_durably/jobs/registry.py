"""The jobs of this process, by name. Names are unique across a project."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from django_durably.exceptions import NotFoundError
from django_durably.jobs.definition import Definition, qualified_name

_definitions: dict[str, Definition] = {}


def register(definition: Definition) -> None:
    """Make a job known. Raises ImproperlyConfigured when another function has its name."""
    known = _definitions.get(definition.name)
    if known is not None and not _is_redefinition(known.func, definition.func):
        first, second = _location(known.func), _location(definition.func)
        message = f"Two jobs are named {definition.name!r}: {first} and {second}."
        raise ImproperlyConfigured(message)
    _definitions[definition.name] = definition


def get(name: str) -> Definition:
    """The job of this name. Raises NotFoundError when this process knows none."""
    try:
        return _definitions[name]
    except KeyError:
        raise NotFoundError(f"Job not found: {name}") from None


def names() -> list[str]:
    """The names of all jobs, sorted."""
    return sorted(_definitions)


def all_jobs() -> list[Definition]:
    """All jobs, sorted by name."""
    return [_definitions[name] for name in names()]


@contextmanager
def isolated() -> Iterator[None]:
    """Forget, at the end of the block, the jobs that were registered within. For tests."""
    before = dict(_definitions)
    try:
        yield
    finally:
        _definitions.clear()
        _definitions.update(before)


def _is_redefinition(known: Callable[..., Any], new: Callable[..., Any]) -> bool:
    """Whether `new` is `known`, made anew by a reload of its module or a call of its maker."""
    if qualified_name(known) != qualified_name(new):
        return False
    return _line(known) == _line(new) or not _is_being_imported(new.__module__)


def _is_being_imported(module: str) -> bool:
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _location(func: Callable[..., Any]) -> str:
    return f"{qualified_name(func)} (line {_line(func)})"


def _line(func: Callable[..., Any]) -> int | None:
    code = getattr(func, "__code__", None)
    return code and code.co_firstlineno
