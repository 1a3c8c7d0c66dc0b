import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator
from typing_extensions import TypedDict

from django_durably.exceptions import ValidationError
from django_durably.jobs.schema import AnyJson, Nothing, Schema, Typed


class Colour(Enum):
    RED = "red"


class Row(BaseModel):
    count: int
    when: datetime | None = None


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    day: date
    tags: set[str] = Field(default=set())


class Aliased(BaseModel):
    file_name: str = Field(alias="fileName")


class Computed(BaseModel):
    price: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.price * 2


class Picky(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def _is_lower(cls, name: str) -> str:
        if not name.islower():
            raise ValueError("must be lower case")
        return name


@dataclass
class Point:
    x: int
    y: Decimal = Decimal(0)
    tags: list[str] = field(default_factory=list)


class Address(TypedDict):
    street: str
    since: date


def typed(kind: Any, what: str = "input") -> Typed:
    return Typed(what, lambda: kind, "shop.jobs.work")


def refusal(schema: Schema, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        schema.validate(value)
    return caught.value.message


NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, 3, 3),
        (str, "a", "a"),
        (None, None, None),
        (Any, {"a": [1, None]}, {"a": [1, None]}),
        (list[int], ["1", 2], [1, 2]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1], {1}),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (Decimal, "1.10", Decimal("1.10")),
        (timedelta, "PT1M", timedelta(minutes=1)),
        (UUID, "0" * 32, UUID(int=0)),
        (Colour, "red", Colour.RED),
        (Literal["a", "b"], "b", "b"),
        (Row, {"count": 1}, Row(count=1)),
        (Row, {"count": 1, "when": "2026-01-02T12:00:00Z"}, Row(count=1, when=NOON)),
        (Row, Row(count=1, when=NOON), Row(count=1, when=NOON)),
        (list[Row], [Row(count=1), {"count": 2}], [Row(count=1), Row(count=2)]),
        (Strict, {"day": "2026-01-02", "tags": ["a"]}, Strict(day=NOON.date(), tags={"a"})),
        (Strict, Strict(day=NOON.date()), Strict(day=NOON.date())),
        (Aliased, {"fileName": "a"}, Aliased(fileName="a")),
        (Aliased, Aliased(fileName="a"), Aliased(fileName="a")),
        (Computed, Computed(price=2), Computed(price=2)),
        (Point, {"x": 1, "y": "2.5"}, Point(1, Decimal("2.5"))),
        (Point, Point(1, tags=["a"]), Point(1, tags=["a"])),
        (Address, {"street": "a", "since": "2026-01-02"}, {"street": "a", "since": NOON.date()}),
        (Address, {"street": "a", "since": NOON.date()}, {"street": "a", "since": NOON.date()}),
        (Row | Point, {"x": 1}, Point(1)),
    ],
)
@pytest.mark.parametrize("what", ["input", "output"])
def test_a_value_is_validated_and_survives_its_json(
    kind: Any, value: object, expected: object, what: str
) -> None:
    schema = typed(kind, what)
    validated = schema.validate(value)
    assert validated == expected
    assert type(validated) is type(expected)
    assert schema.validate(json.loads(schema.dump(validated))) == expected


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (int, "x", "input: Input should be a valid integer, unable to parse string as an integer"),
        (None, 1, "input: Input should be null"),
        (Row, {"count": 1.5}, "input.count: Input should be a valid integer"),
        (Row, {}, "input.count: Field required"),
        (list[Row], [{"count": 1}, {"count": None}], "input[1].count: Input should be a valid"),
        (dict[str, int], {"a b": None}, 'input["a b"]: Input should be a valid integer'),
        (Picky, {"name": "A"}, "input.name: Value error, must be lower case"),
        (Strict, {"day": "2026-01-02", "x": 1}, "input.x: Extra inputs are not permitted"),
        (Address, {"street": "a"}, "input.since: Field required"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_the_field(
    kind: Any, value: object, message: str
) -> None:
    assert refusal(typed(kind), value).startswith(message)


def test_every_wrong_field_is_named() -> None:
    assert refusal(typed(Strict), {"tags": 1}) == (
        "input.day: Field required; input.tags: Input should be a valid array"
    )


def test_an_object_made_without_validation_is_validated() -> None:
    wrong: list[tuple[Any, Any]] = [
        (Point, Point(x="many")),  # type: ignore[arg-type]
        (list[Point], [Point(x="many")]),  # type: ignore[arg-type]
        (Row, Row.model_construct(count="many")),  # type: ignore[arg-type]
    ]
    for kind, value in wrong:
        assert "Input should be a valid integer" in refusal(typed(kind, "output"), value)


def test_what_a_model_computes_is_in_the_output_alone() -> None:
    assert typed(Computed, "input").dump(Computed(price=2)) == '{"price":2}'
    assert typed(Computed, "output").dump(Computed(price=2)) == '{"price":2,"double":4}'


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (float, float("nan"), "output is nan, which JSON does not know"),
        (Any, {"a": object()}, "output cannot be stored as JSON: Unable to serialize unknown"),
        (dict[str, Any], {"a": "\0"}, "output.a holds the character U+0000"),
        (bytes, b"\xff", "output cannot be stored as JSON: "),
    ],
)
def test_what_json_cannot_hold_is_refused(kind: Any, value: object, reason: str) -> None:
    schema = typed(kind, "output")
    with pytest.raises(ValidationError) as caught:
        schema.dump(value)
    assert str(caught.value).startswith(reason)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    for kind in (list[Any], list[list[int]]):
        with pytest.raises(ValidationError):
            typed(kind).dump(typed(kind).validate(value))


def test_a_type_is_asked_for_once_and_not_before_it_is_needed() -> None:
    asked = []

    def resolve() -> type:
        asked.append("asked")
        return int

    schema = Typed("input", resolve, "shop.jobs.work")
    assert asked == []
    assert [schema.validate(1), schema.dump(2)] == [1, "2"]
    assert asked == ["asked"]


def _undefined() -> Any:
    raise NameError("name 'Row' is not defined")


class Unknown:
    pass


@pytest.mark.parametrize(
    ("resolve", "reason"),
    [
        (_undefined, "name 'Row' is not defined"),
        (lambda: Unknown, "Unable to generate pydantic-core schema for"),
    ],
)
def test_a_type_that_cannot_be_used_is_refused_with_its_function(
    resolve: Callable[[], Any], reason: str
) -> None:
    schema = Typed("input", resolve, "shop.jobs.work")
    expected = f"The input annotation of shop.jobs.work cannot be used: {reason}"
    with pytest.raises(ImproperlyConfigured, match=expected):
        schema.validate({})


def test_json_schemas_describe_what_is_stored() -> None:
    limited = typed(Annotated[int, Field(ge=1)])
    assert limited.json_schema() == {"type": "integer", "minimum": 1}
    assert set(typed(Computed, "input").json_schema()["properties"]) == {"price"}
    assert set(typed(Computed, "output").json_schema()["properties"]) == {"price", "double"}
    assert AnyJson("input").json_schema() == {}
    assert Nothing("input").json_schema() == {"type": ["object", "null"], "maxProperties": 0}


@pytest.mark.parametrize("value", [None, 1, "a", [1, {"a": None}], {}])
def test_without_an_annotation_any_json_goes(value: object) -> None:
    schema = AnyJson("input")
    assert schema.validate(value) == value
    assert json.loads(schema.dump(value)) == value


def test_without_an_annotation_a_value_is_what_its_json_says() -> None:
    rows = [(1, 2)]
    validated = AnyJson("output").validate(rows)
    rows.clear()
    assert validated == [[1, 2]]


def test_without_an_annotation_only_json_goes() -> None:
    expected = "input.a is of type datetime.datetime, which JSON cannot hold"
    assert refusal(AnyJson("input"), {"a": NOON}) == expected


@pytest.mark.parametrize("value", [None, {}])
def test_a_job_without_an_input_takes_nothing(value: object) -> None:
    schema = Nothing("input")
    assert schema.validate(value) == {}
    assert schema.dump(schema.validate(value)) == "{}"


@pytest.mark.parametrize("value", [{"a": 1}, [], 0, "", False])
def test_a_job_without_an_input_refuses_one(value: object) -> None:
    assert refusal(Nothing("input"), value).startswith("input: this job takes no input, not ")


class HoldsAnything(BaseModel):
    anything: Any = None
    number: float = 0


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("field", ["anything", "number"])
def test_infinity_is_refused_and_never_becomes_null(field: str, value: float) -> None:
    schema = Typed("input", lambda: HoldsAnything, "here")
    for held in (value, [{"deep": value}]) if field == "anything" else (value,):
        with pytest.raises(ValidationError, match="input"):
            schema.dump(HoldsAnything(**{field: held}))


def test_null_is_welcome() -> None:
    schema = Typed("input", lambda: HoldsAnything, "here")
    text = schema.dump(HoldsAnything(anything=[None, {"a": None}]))
    assert json.loads(text) == {"anything": [None, {"a": None}], "number": 0}
