"""Forms made from schemas, and what becomes of them."""

from datetime import date
from enum import Enum
from typing import Annotated, Any

import pytest
from django.test import Client
from pydantic import BaseModel, Field

from django_durably import Run, StepContext, job
from django_durably.admin.schema_forms import SchemaForm
from django_durably.jobs import registry
from django_durably.testing import run_job
from tests.admin.addresses import TRIGGER, page_of
from tests.testapp.jobs import fail


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    city: str


class Order(BaseModel):
    name: Annotated[str, Field(min_length=2, description="Who orders")]
    count: Annotated[int, Field(ge=1)] = 3
    colour: Colour = Colour.RED
    note: str | None = None
    urgent: bool = False
    due: date | None = None
    address: Address | None = None


@pytest.fixture(autouse=True)
def _order_job() -> Any:
    with registry.isolated():

        @job("order")
        def order(step: StepContext, input: Order) -> None:
            """Takes an order."""

        yield


def send(admin: Client, job: str = "order", **fields: str) -> Any:
    data = {f"input-{name}": value for name, value in fields.items()}
    return admin.post(f"{TRIGGER}?job={job}", data)


def test_makes_a_field_of_each_property() -> None:
    form = SchemaForm(registry.get("order").input.json_schema())
    kinds = {name: type(field).__name__ for name, field in form.fields.items()}
    assert kinds == {
        "name": "CharField",
        "count": "IntegerField",
        "colour": "Chosen",
        "note": "CharField",
        "urgent": "BooleanField",
        "due": "CharField",
        "address": "JSONText",
    }
    assert form.fields["name"].help_text == "Who orders"
    assert form.fields["count"].initial == 3


def test_triggers_with_what_was_entered(admin: Client) -> None:
    answer = send(
        admin,
        name="Ada",
        count="5",
        colour='"blue"',
        urgent="on",
        due="2026-12-24",
        address='{"city": "Paris"}',
    )
    run = Run.objects.get()
    assert answer["Location"] == page_of(run)
    assert run.triggered_by == "ada"
    assert run.input == {
        "name": "Ada",
        "count": 5,
        "colour": "blue",
        "note": None,
        "urgent": True,
        "due": "2026-12-24",
        "address": {"city": "Paris"},
    }


def test_what_is_empty_gets_its_default(admin: Client) -> None:
    send(admin, name="Ada", count="", colour="")
    assert (Run.objects.get().input or {})["count"] == 3


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "A", "at least 2 characters"),
        ("count", "0", "greater than or equal to 1"),
        ("count", "many", "Enter a whole number."),
        ("due", "soon", "valid date"),
        ("address", '{"city": 5}', "city: "),
        ("address", "{", "not valid JSON"),
        ("colour", '"green"', "Select a valid choice."),
    ],
)
def test_errors_stand_beside_their_fields(admin: Client, field: str, value: str, said: str) -> None:
    answer = send(admin, **{"name": "Ada", field: value})
    errors = answer.context["form"].errors
    assert list(errors) == [field]
    assert said in str(errors[field])
    assert not Run.objects.exists()


def test_other_inputs_are_written_as_json(admin: Client) -> None:
    send(admin, "add-in-steps", whole="[1, 2]")
    assert Run.objects.get().input == [1, 2]
    answer = send(admin, "add-in-steps", whole='["x"]')
    assert "valid integer" in str(answer.context["form"].errors)


def test_labels_and_keys(admin: Client) -> None:
    data = {"input-name": "Ada", "labels": "org=1\na/b=c d", "concurrency_key": "k"}
    admin.post(f"{TRIGGER}?job=order", data)
    run = Run.objects.get()
    assert (run.labels, run.concurrency_key) == ({"org": "1", "a/b": "c d"}, "k")
    again = admin.post(f"{TRIGGER}?job=order", data)
    assert "already holds" in str(again.context["options"].errors)
    wrong = admin.post(f"{TRIGGER}?job=order", {**data, "labels": "no spaces=1"})
    assert "labels" in wrong.context["options"].errors


def test_retriggers_with_an_edited_input(admin: Client) -> None:
    failed = run_job(fail, "x", labels={"org": "1"})
    address = f"{TRIGGER}?from={failed.pk}"
    assert b"&quot;x&quot;" in admin.get(address).content
    admin.post(address, {"input-whole": '"y"', "labels": "org=1"})
    fresh = Run.objects.get(retriggered_from=failed.pk)
    assert (fresh.input, fresh.labels) == ("y", {"org": "1"})


def test_lists_the_jobs(admin: Client) -> None:
    html = admin.get(TRIGGER).content.decode()
    assert "Takes an order." in html
    assert admin.get(f"{TRIGGER}?job=nothing").status_code == 404
    assert admin.get(f"{TRIGGER}?from=nothing").status_code == 404
