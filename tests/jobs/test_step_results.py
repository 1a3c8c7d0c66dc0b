import gc
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial, wraps
from typing import Annotated, Any, Literal, TypeVar
from weakref import ref

import pytest
from asgiref.sync import sync_to_async
from pydantic import BaseModel

from django_durably.exceptions import ValidationError
from django_durably.jobs import step_results

T = TypeVar("T")


class User(BaseModel):
    name: str
    since: date = date(2026, 1, 1)


@dataclass
class Pair:
    left: int
    right: Decimal


class Opaque:
    pass


def users() -> list[User]: ...  # type: ignore[empty-body]
async def fetch_user() -> User | None: ...
def textual() -> "dict[str, Pair]": ...  # type: ignore[empty-body]
def pair() -> Pair: ...  # type: ignore[empty-body]
def both() -> tuple[int, str]: ...  # type: ignore[empty-body]
def unhashable() -> Annotated[datetime, []]: ...  # type: ignore[empty-body]
def plain() -> dict[str, list[int | None]]: ...  # type: ignore[empty-body]
def literal() -> Literal["a"] | None: ...
def bare(): ...  # type: ignore[no-untyped-def]
def whatever() -> Any: ...
def lazily() -> Iterable[int]: ...  # type: ignore[empty-body]
def later() -> Awaitable[int]: ...  # type: ignore[empty-body]
def generic() -> T: ...  # type: ignore[empty-body,type-var]
def unknown() -> Opaque: ...  # type: ignore[empty-body]
def undefined() -> "Missing": ...  # type: ignore[name-defined]  # noqa: F821


class Service:
    def user(self) -> User: ...  # type: ignore[empty-body]
    @classmethod
    def user_of_class(cls) -> User: ...  # type: ignore[empty-body]
    def __call__(self) -> User: ...  # type: ignore[empty-body]


def logged(function: Callable[[], T]) -> Callable[[], T]:
    @wraps(function)
    def wrapper() -> T:
        return function()

    return wrapper


ADA = User(name="Ada")
PAIR = Pair(1, Decimal("2.50"))


@pytest.mark.parametrize(
    ("function", "value", "stored"),
    [
        (users, [ADA], [{"name": "Ada", "since": "2026-01-01"}]),
        (fetch_user, ADA, {"name": "Ada", "since": "2026-01-01"}),
        (fetch_user, None, None),
        (textual, {"a": PAIR}, {"a": {"left": 1, "right": "2.50"}}),
        (pair, PAIR, {"left": 1, "right": "2.50"}),
        (both, (1, "a"), [1, "a"]),
        (unhashable, datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
        (plain, {"a": [1, None]}, {"a": [1, None]}),
        (literal, "a", "a"),
        (bare, [1, {"a": None}], [1, {"a": None}]),
        (whatever, "a", "a"),
        (lazily, [1], [1]),
        (later, 1, 1),
        (generic, {"a": 1}, {"a": 1}),
        (unknown, 1, 1),
        (undefined, 1, 1),
        (partial(users), [ADA], [{"name": "Ada", "since": "2026-01-01"}]),
        (Service().user, ADA, {"name": "Ada", "since": "2026-01-01"}),
        (Service.user_of_class, ADA, {"name": "Ada", "since": "2026-01-01"}),
        (Service(), ADA, {"name": "Ada", "since": "2026-01-01"}),
        (logged(pair), PAIR, {"left": 1, "right": "2.50"}),
        (sync_to_async(pair), PAIR, {"left": 1, "right": "2.50"}),
        (len, 3, 3),
        (int.__add__, 3, 3),
        (lambda: None, None, None),
    ],
)
def test_a_result_is_the_same_at_first_and_on_replay(
    function: Callable[..., Any], value: object, stored: object
) -> None:
    text, first = step_results.dump("s", function, value)
    assert json.loads(text) == stored
    assert first == value
    replayed = step_results.load(function, json.loads(text))
    assert replayed == first
    assert type(replayed) is type(first)


def test_without_an_annotation_the_first_execution_sees_what_the_replay_will() -> None:
    rows = [(1, 2)]
    text, first = step_results.dump("s", bare, rows)
    assert first == step_results.load(bare, json.loads(text)) == [[1, 2]]
    rows.append((3, 4))
    assert first == [[1, 2]]


@pytest.mark.parametrize(
    ("function", "value", "kind"),
    [
        (bare, ADA, "tests.jobs.test_step_results.User"),
        (whatever, {"when": [date(2026, 1, 1)]}, "datetime.date"),
        (plain, {1, 2}, "set"),
        (unknown, Opaque(), "tests.jobs.test_step_results.Opaque"),
        (undefined, object(), "object"),
        (generic, Decimal(1), "decimal.Decimal"),
        (sync_to_async(bare), ADA, "tests.jobs.test_step_results.User"),
    ],
)
def test_a_result_that_json_cannot_hold_names_the_step_and_the_type(
    function: Callable[..., Any], value: object, kind: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        step_results.dump("parse rows", function, value)
    message = str(caught.value)
    assert message.startswith("The result of step 'parse rows'")
    assert message.endswith(f"is of type {kind}, which JSON cannot hold")


def test_a_result_that_does_not_fit_its_annotation_names_the_step_and_the_field() -> None:
    with pytest.raises(ValidationError) as caught:
        step_results.dump("parse", pair, {"left": "x", "right": 1})
    assert str(caught.value).startswith("The result of step 'parse'.left: Input should be a valid")


def test_a_stored_result_that_fits_today_s_annotation_no_more_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"pair at .*>.right: Field required"):
        step_results.load(pair, {"left": 1})


def test_an_annotation_of_json_s_own_types_is_not_enforced() -> None:
    assert step_results.dump("s", plain, "text") == ('"text"', "text")


def test_functions_are_not_kept_alive() -> None:
    def fetch() -> User:
        return ADA

    assert step_results.dump("s", fetch, ADA)[1] == ADA
    kept = ref(fetch)
    del fetch
    gc.collect()
    assert kept() is None


def test_a_local_class_that_the_function_makes_is_found() -> None:
    @dataclass
    class Local:
        day: date

    def make() -> "Local":
        return Local(date(2026, 1, 1))

    text, first = step_results.dump("s", make, make())
    assert first == Local(date(2026, 1, 1))
    assert step_results.load(make, json.loads(text)) == first
