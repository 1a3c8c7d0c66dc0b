"""The reference of the HTTP API names all that there is."""

from pathlib import Path
from typing import get_type_hints

from django_durably import projections
from django_durably.access import Operation, Policy
from django_durably.http.openapi import PATHS

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = (DOCS / "reference/http.md").read_text()
POLICIES = (DOCS / "howto/policies.md").read_text()


def test_every_endpoint_and_parameter_is_there() -> None:
    for path, operations in PATHS.items():
        for method, operation in operations.items():
            assert f"| `{method.upper()} {path}" in REFERENCE
            for parameter in operation["parameters"]:
                if parameter["in"] == "query":
                    assert f"{parameter['name']}" in REFERENCE


def test_every_status_is_there() -> None:
    documented = {
        status
        for operations in PATHS.values()
        for operation in operations.values()
        for status in operation["responses"]
    }
    assert [status for status in documented - {"200"} if f"\n| {status} |" not in REFERENCE] == []


def test_every_key_of_a_shape_is_there() -> None:
    for shape in (projections.TypedClientRun, projections.StepRecord, projections.LogEntry):
        assert [key for key in get_type_hints(shape) if f"  {key}: " not in REFERENCE] == []


def test_every_hook_and_operation_is_there() -> None:
    hooks = [name for name in vars(Policy) if not name.startswith("_") and name != "cookies"]
    assert [hook for hook in hooks if f"| `{hook}(" not in POLICIES] == []
    assert [operation for operation in Operation if f"`{operation}`" not in POLICIES] == []
