from typing import Any, Literal

import pytest
from django.core.exceptions import ImproperlyConfigured
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from django_durably import labels
from django_durably.exceptions import ValidationError


class TypedLabels(TypedDict, total=False):
    org: str
    tier: Literal["free", "paid"]


class ModelLabels(BaseModel):
    organisation: str = Field(alias="org", pattern="^[0-9]+$")
    region: str = "eu"


class NoLabels:
    pass


def refusal(given: object) -> str:
    with pytest.raises(ValidationError) as caught:
        labels.validate(given)
    return caught.value.message


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"org": "1"},
        {"a.b/c_d-E9": ""},
        {"k" * 64: "é" * 255},
        {str(number): "x" for number in range(32)},
    ],
)
def test_labels_within_the_rules_are_taken(given: dict[str, str]) -> None:
    assert labels.validate(given) == given


def test_no_labels_are_no_labels() -> None:
    assert labels.validate(None) == {}


@pytest.mark.parametrize("key", ["", "a b", "é", "a\n", "k" * 65, "a:b", "a=b", 1, None])
def test_a_key_outside_the_rules_is_refused(key: object) -> None:
    assert refusal({key: "x"}).startswith(f"label key {key!r} must be 1 to 64 characters of A-Z")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1, "must be a string, not int"),
        (None, "must be a string, not NoneType"),
        (["a"], "must be a string, not list"),
        ("x" * 256, "must have at most 255 characters"),
        ("a\0", "must not hold NUL characters or lone surrogates"),
        ("\udfff", "must not hold NUL characters or lone surrogates"),
    ],
)
def test_a_value_outside_the_rules_is_refused(value: object, reason: str) -> None:
    assert refusal({"org": value}) == f"labels.org {reason}"


@pytest.mark.parametrize("given", [[], "org", [("org", "1")], 1])
def test_labels_must_be_an_object(given: object) -> None:
    assert refusal(given).startswith("labels must be an object, not ")


def test_a_run_carries_no_more_than_32_labels() -> None:
    assert refusal({str(number): "x" for number in range(33)}) == "labels must be at most 32"


@pytest.mark.parametrize("schema", [TypedLabels, f"{__name__}.TypedLabels"])
def test_labels_match_the_project_s_typed_dictionary(settings: Any, schema: object) -> None:
    settings.DURABLY = {"LABELS": schema}
    assert labels.validate({"tier": "free"}) == {"tier": "free"}
    assert refusal({"tier": "gold"}) == "labels.tier: Input should be 'free' or 'paid'"
    assert refusal({"orgg": "1"}) == "labels: orgg not among the project's labels"


def test_labels_match_the_project_s_model_and_stay_as_given(settings: Any) -> None:
    settings.DURABLY = {"LABELS": ModelLabels}
    assert labels.validate({"org": "1"}) == {"org": "1"}
    assert refusal({}) == "labels.org: Field required"
    assert "labels.org: String should match pattern" in refusal({"org": "x"})
    assert refusal({"org": "1", "x": "y", "z": "y"}) == (
        "labels: x, z not among the project's labels"
    )


def test_a_filter_need_not_match_the_project_s_schema(settings: Any) -> None:
    settings.DURABLY = {"LABELS": ModelLabels}
    assert labels.check({"region": "us"}) == {"region": "us"}


@pytest.mark.parametrize("schema", [NoLabels, dict, f"{__name__}.NoLabels"])
def test_a_schema_must_be_a_typed_dictionary_or_a_model(schema: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"LABELS.* must be a TypedDict or pydantic"):
        labels.load_schema(schema)
