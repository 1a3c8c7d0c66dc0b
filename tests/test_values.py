import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from django.db import connection

from django_durably.exceptions import ValidationError
from django_durably.models import Run
from django_durably.values import MAX_DEPTH, MAX_DEPTH_ON_MARIADB, decode, encode


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Money:
    pass


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def allowed_depth() -> int:
    return MAX_DEPTH_ON_MARIADB if connection.vendor == "mysql" else MAX_DEPTH


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (1.5, "1.5"),
        (10**400, "1" + "0" * 400),
        ('a\n"b" é 🛫 \\u0000', '"a\\n\\"b\\" é 🛫 \\\\u0000"'),
        ((1, [2]), "[1,[2]]"),
        ({"a": {}, "": []}, '{"a":{},"":[]}'),
        ({Colour.RED: Size.BIG}, '{"red":3}'),
    ],
)
def test_json_is_encoded_compactly_and_read_back(value: object, text: str) -> None:
    assert encode(value, "x") == text
    assert decode(text) == json.loads(text)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Money(), "x is of type tests.test_values.Money, which JSON cannot hold"),
        ({"a": [1, {2}]}, "x.a[1] is of type set, which JSON cannot hold"),
        (
            {"rows": [{"first date": datetime(2026, 1, 1, tzinfo=UTC)}]},
            'x.rows[0]["first date"] is of type datetime.datetime, which JSON cannot hold',
        ),
        ([Decimal(1), Money()], "x[0] is of type decimal.Decimal, which JSON cannot hold"),
        (b"a", "x is of type bytes, which JSON cannot hold"),
        ([float("nan")], "x[0] is nan, which JSON does not know"),
        ({"a": float("-inf")}, "x.a is -inf, which JSON does not know"),
        ("a\0b", "x holds the character U+0000, which no database stores"),
        ({"a": "\ud800"}, "x.a holds the character U+D800, which no database stores"),
        ({"a\0": 1}, "x holds the character U+0000, which no database stores"),
        ({1: 2}, "x has a key of type int; the keys of a JSON object are strings"),
        ([{None: 2}], "x[0] has a key of type NoneType; the keys of a JSON object are strings"),
        ({(1, 2): 2}, "x has a key of type tuple; the keys of a JSON object are strings"),
        ({"a": 10**5000}, "x.a is an integer with too many digits"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(value: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        encode(value, "x")
    assert str(caught.value) == message
    assert caught.value.field == "x"


def test_nesting_has_a_limit() -> None:
    limit = allowed_depth()
    assert decode(encode(nested(limit), "x")) == nested(limit)
    for levels in (limit + 1, 100_000):
        with pytest.raises(ValidationError, match=f"x holds itself .* deeper than {limit} levels"):
            encode(nested(levels), "x")


@pytest.mark.django_db
def test_the_database_takes_what_nests_to_the_limit_inside_an_event() -> None:
    """An event wraps the value in its payload."""
    wrapped = {"output": nested(allowed_depth())}
    run = Run.objects.create(job_name="echo", output=wrapped)
    assert Run.objects.get(pk=run.pk).output == wrapped


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value += [value, {"a": value}]
    with pytest.raises(ValidationError, match="x holds itself"):
        encode(value, "x")


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a": -Infinity}', b"\xff", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValidationError, match="body is not valid JSON"):
        decode(text, "body")
