import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pydantic import BaseModel

from django_durably.jobs.definition import Definition
from django_durably.jobs.schema import AnyJson, Nothing, Typed

if TYPE_CHECKING:
    from django_durably import StepContext


def work(step: "StepContext", input: "Order") -> "list[Order]":
    return [input]


def bare(step):  # type: ignore[no-untyped-def]
    return None


def unannotated(step, payload):  # type: ignore[no-untyped-def]
    return None


async def asynchronous(step: Any, input: int, /, factor: int = 2, *, more: bool = False) -> int:
    return input


def nothing(step: Any, input: None) -> None: ...


def misspelt(step: Any, input: "Odrer") -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Order(BaseModel):
    number: int


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def test_the_second_parameter_and_the_result_are_the_schemas() -> None:
    definition = Definition.from_function(work)
    assert (definition.name, definition.is_async, definition.takes_input) == ("work", False, True)
    assert definition.func is work
    assert definition.input.validate({"number": 1}) == Order(number=1)
    assert definition.output.validate([Order(number=1)]) == [Order(number=1)]


def test_a_wrapped_function_keeps_its_schemas() -> None:
    definition = Definition.from_function(traced(work))
    assert definition.name == "work"
    assert definition.input.validate({"number": 1}) == Order(number=1)


def test_an_async_function_is_an_async_job_of_its_result() -> None:
    definition = Definition.from_function(asynchronous, "double")
    assert (definition.name, definition.is_async) == ("double", True)
    assert definition.input.validate("3") == 3
    assert definition.output.dump(3) == "3"


def test_a_function_of_the_context_alone_takes_no_input() -> None:
    definition = Definition.from_function(bare)
    assert not definition.takes_input
    assert isinstance(definition.input, Nothing)
    assert isinstance(definition.output, AnyJson)


def test_a_parameter_without_annotation_takes_any_json() -> None:
    definition = Definition.from_function(unannotated)
    assert definition.takes_input
    assert isinstance(definition.input, AnyJson)


def test_none_is_an_annotation_too() -> None:
    definition = Definition.from_function(nothing)
    assert isinstance(definition.input, Typed)
    assert definition.input.validate(None) is None


def test_classes_of_a_namespace_are_found() -> None:
    class Local(BaseModel):
        number: int

    def take(step: Any, input: "Local") -> None: ...

    definition = Definition.from_function(take, namespace={"Local": Local})
    assert definition.input.validate({"number": 1}) == Local(number=1)


def test_an_annotation_that_means_nothing_is_refused_when_it_is_needed() -> None:
    definition = Definition.from_function(misspelt)
    expected = (
        r"The input annotation of tests\.jobs\.test_definition\.misspelt cannot be used: "
        r"name 'Odrer' is not defined"
    )
    with pytest.raises(ImproperlyConfigured, match=expected):
        definition.input.validate({})


def without_parameters() -> None: ...
def with_three(step: Any, input: int, more: int) -> None: ...
def with_keyword(step: Any, *, more: int) -> None: ...
def with_any_number(*steps: Any) -> None: ...
def yielding(step: Any) -> Any:
    yield 1


async def yielding_async(step: Any) -> Any:
    yield 1


class Worker:
    def __call__(self, step: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (without_parameters, r"without_parameters must take \(step\) or \(step, input\)\."),
        (with_three, r"with_three must take \(step\) or \(step, input\), and not need more\."),
        (with_keyword, r"with_keyword must take .*, and not need more\."),
        (with_any_number, r"with_any_number must take"),
        (yielding, "yielding must return its output, not yield it"),
        (yielding_async, "yielding_async must return its output, not yield it"),
        (Worker(), "A job must be a function, not <"),
        (Order, "A job must be a function, not <class"),
        (functools.partial(work), "A job must be a function, not functools.partial"),
    ],
)
def test_what_cannot_be_a_job_is_refused(function: Any, reason: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=reason):
        Definition.from_function(function)


@pytest.mark.parametrize("name", ["a", "import-csv", "импорт 1", "n" * 255])
def test_a_name_is_taken(name: str) -> None:
    assert Definition.from_function(bare, name).name == name


@pytest.mark.parametrize("name", ["", "n" * 256, "a\nb", "a\0", 5])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="name of a job must be 1 to 255 printable"):
        Definition.from_function(bare, name)
