"""What the annotations of a function mean, also when they are text (`from __future__ import
annotations`) and name classes of an enclosing function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final, get_type_hints

MISSING: Final = inspect.Parameter.empty
"""The annotation of what has none."""

_WORD: Final = re.compile(r"[A-Za-z_]\w*")


def underlying(function: Any) -> Any:
    """The function that does the work: inside partials, wrappers, methods, callable objects."""
    while (inner := _inside(function)) is not None:
        function = inner
    return function


def _inside(function: Any) -> Any:
    if isinstance(function, partial):
        return function.func
    for attribute in ("__wrapped__", "__func__"):
        if hasattr(function, attribute):
            return getattr(function, attribute)
    if inspect.isroutine(function) or isinstance(function, type):
        return None
    return type(function).__call__


def return_annotation(function: Callable[..., Any]) -> Any:
    """What the function is annotated to return, unresolved; MISSING when it is not."""
    annotations = getattr(underlying(function), "__annotations__", {})
    return annotations.get("return", MISSING)


def resolve(
    annotation: Any,
    function: Callable[..., Any],
    namespace: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """The type that `annotation` of `function` stands for. `namespace` adds to what it can see.

    Only this one annotation is looked at: another may name what exists for type checkers alone.
    Raises NameError, or whatever else evaluating it raises.
    """
    inner = underlying(function)
    holder = SimpleNamespace(__annotations__={"it": annotation})
    visible = {**namespace, **_closure(inner)}
    hints = get_type_hints(holder, getattr(inner, "__globals__", {}), visible, include_extras=True)
    return hints["it"]


def names_in(annotation: Any) -> set[str]:
    """The names that a textual annotation mentions."""
    return set(_WORD.findall(annotation)) if isinstance(annotation, str) else set()


def _closure(function: Any) -> dict[str, Any]:
    """The variables of enclosing functions that the function uses, as far as they have a value."""
    cells = zip(
        getattr(getattr(function, "__code__", None), "co_freevars", ()),
        getattr(function, "__closure__", None) or (),
        strict=False,
    )
    return {name: value for name, cell in cells if (value := _content(cell)) is not MISSING}


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return MISSING
