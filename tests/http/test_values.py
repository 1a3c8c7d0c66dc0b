"""Values survive the way through JSON, the store, a body and back, unchanged."""

from typing import Any

import pytest

from django_durably import Run
from django_durably.testing import execute_run
from tests.http.asking import Asker

pytestmark = pytest.mark.django_db

VALUES = {
    "null": None,
    "zero": 0,
    "false": False,
    "empty text": "",
    "empty list": [],
    "empty object": {},
    "falsy things": {"null": None, "zero": 0, "false": False, "text": "", "": [0.0, {}]},
    "emoji": "👩‍👩‍👧‍👦 🇫🇷 é é",
    "lines": "a\nb\r\nc\u2028d\u2029e\tf\\n\\u0000",
    "markup": "</script><!-- & \" ' `",
    "large integer": 2**63 - 1,
    "fraction": 0.1 + 0.2,
    "small": -1.5e-9,
    "100 kB": "é" * 50_000,
    "100 kB of things": [{"number": number} for number in range(6000)],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_survives_the_round_trip(api: Asker, anything: str, value: Any) -> None:
    answer = api.post("trigger", body={"jobName": anything, "input": value})
    assert answer.status == 200
    query = {"runId": answer.json["runId"]}
    waiting = api.get("run", query).json
    assert same(waiting["input"], value)
    assert waiting["output"] is None

    execute_run(Run.objects.get(pk=query["runId"]))
    run = api.get("run", query).json
    assert (run["status"], run["error"]) == ("completed", None)
    assert same(run["input"], value)
    assert same(run["output"], value)
    assert same(api.get("steps", query).json[0]["output"], value)
    assert same(api.get("logs", query).json[0]["data"], value)


def same(one: Any, other: Any) -> bool:
    """Equal, with `0` apart from `False` and the keys in whatever order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def test_labels_and_keys_survive(api: Asker, anything: str) -> None:
    labels = {"a": "", "b": "👩‍👩‍👧‍👦\n", "c": " space ", "d": "é" * 255}
    body = {"jobName": anything, "labels": labels, "concurrencyKey": "\n👩", "idempotencyKey": " "}
    answer = api.post("trigger", body=body)
    run = api.get("run", {"runId": answer.json["runId"]}).json
    assert run["labels"] == labels
    for key, value in labels.items():
        assert [found["id"] for found in api.get("runs", {f"label.{key}": value}).json] == [
            run["id"]
        ]
    assert api.post("trigger", body=body).json["disposition"] == "idempotent"


def test_keys_and_labels_compare_by_their_letters_alone(api: Asker, anything: str) -> None:
    body = {"jobName": anything, "labels": {"org": "Key"}, "idempotencyKey": "Key"}
    assert api.post("trigger", body=body).json["disposition"] == "created"
    for other in ("key", "Key ", "KEY", "Kéy"):
        again = api.post("trigger", body={**body, "idempotencyKey": other})
        assert again.json["disposition"] == "created"
        assert api.get("runs", {"label.org": other}).json == []


def test_an_error_survives(api: Asker) -> None:
    words = "It's <b>broken</b>\n👩‍👩‍👧‍👦 \\ \" "
    answer = api.post("trigger", body={"jobName": "fail", "input": words})
    query = {"runId": answer.json["runId"]}
    execute_run(Run.objects.get(pk=query["runId"]))
    assert api.get("run", query).json["error"] == words
