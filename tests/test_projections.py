"""The JSON of the wire, key by key."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast, get_type_hints
from uuid import UUID

import pytest
from pydantic import TypeAdapter
from typing_extensions import TypedDict

import django_durably
from django_durably import (
    ClientEvent,
    ClientRun,
    LogEntry,
    StepRecord,
    TypedClientRun,
    TypedRun,
    models,
    projections,
)
from django_durably.events import Event, EventType

ID = UUID("01900000-0000-7000-8000-000000000001")
AT = datetime(2026, 11, 22, 17, 0, 0, 123_999, tzinfo=UTC)
SHOWN = "2026-11-22T17:00:00.123Z"


def make_run(**fields: Any) -> models.Run:
    return models.Run(id=ID, job_name="echo", input={}, created_at=AT, **fields)


def test_a_waiting_run() -> None:
    assert projections.client_run(make_run()) == {
        "id": str(ID),
        "jobName": "echo",
        "status": "pending",
        "input": {},
        "output": None,
        "error": None,
        "currentStepIndex": 0,
        "completedStepCount": 0,
        "progress": None,
        "labels": {},
        "startedAt": None,
        "completedAt": None,
        "createdAt": SHOWN,
        "isTerminal": False,
        "isActive": True,
    }


def test_a_run_that_has_ended() -> None:
    run = make_run(
        status="failed",
        error="why",
        error_traceback="Traceback",
        progress={"current": 1},
        labels={"a": "b"},
        started_at=AT,
        completed_at=AT,
        idempotency_key="i",
        lease_owner="w",
    )
    seen = projections.client_run(run)
    assert (seen["status"], seen["error"], seen["progress"]) == ("failed", "why", {"current": 1})
    assert (seen["startedAt"], seen["completedAt"]) == (SHOWN, SHOWN)
    assert (seen["isTerminal"], seen["isActive"]) == (True, False)
    assert set(seen) == set(get_type_hints(TypedClientRun))


def test_a_status_is_a_plain_string() -> None:
    seen = projections.client_run(make_run(status=models.RunStatus.PENDING))
    assert type(seen["status"]) is str


def test_a_step() -> None:
    step = models.Step(
        id=7, run_id=ID, name="parse", index=2, status="failed", error="why", started_at=AT
    )
    seen = projections.step_record(step)
    assert seen == {
        "id": "7",
        "runId": str(ID),
        "name": "parse",
        "index": 2,
        "attempt": 1,
        "status": "failed",
        "output": None,
        "error": "why",
        "startedAt": SHOWN,
        "completedAt": None,
    }
    assert set(seen) == set(get_type_hints(StepRecord))


def test_a_log_entry() -> None:
    entry = models.LogEntry(
        id=7, run_id=ID, level="warn", message="hm", data=[0], timestamp=AT, step_name=None
    )
    seen = projections.log_entry(entry)
    assert seen == {
        "id": "7",
        "runId": str(ID),
        "stepName": None,
        "level": "warn",
        "message": "hm",
        "data": [0],
        "timestamp": SHOWN,
    }
    assert set(seen) == set(get_type_hints(LogEntry))


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (AT, SHOWN),
        (AT.replace(microsecond=0), "2026-11-22T17:00:00.000Z"),
        (AT.astimezone(timezone(timedelta(hours=-5))), SHOWN),
    ],
)
def test_a_time(time: datetime, shown: str) -> None:
    assert projections.wire_time(time) == shown


def make_event(type_: EventType, **payload: Any) -> Event:
    return Event(type_, ID, "echo", {"a": "b"}, payload, AT, 5)


def test_an_event_has_neither_time_nor_number() -> None:
    assert projections.client_event(make_event(EventType.LOG_WRITE, level="info", data=None)) == {
        "type": "log:write",
        "runId": str(ID),
        "jobName": "echo",
        "labels": {"a": "b"},
        "level": "info",
        "data": None,
    }


PAYLOADS: dict[EventType, dict[str, Any]] = {
    EventType.RUN_TRIGGER: {"input": 1},
    EventType.RUN_COALESCED: {"skippedInput": 1, "skippedLabels": {}},
    EventType.RUN_LEASED: {"input": 1},
    EventType.RUN_PROGRESS: {"progress": {"current": 1}},
    EventType.RUN_COMPLETE: {"output": None, "duration": 5},
    EventType.RUN_FAIL: {"error": "why", "failedStepName": "unknown"},
    EventType.RUN_CANCEL: {},
    EventType.RUN_DELETE: {},
    EventType.STEP_START: {"stepName": "a", "stepIndex": 0},
    EventType.STEP_COMPLETE: {"stepName": "a", "stepIndex": 0, "output": 1, "duration": 5},
    EventType.STEP_FAIL: {"stepName": "a", "stepIndex": 0, "error": "why"},
    EventType.STEP_CANCEL: {"stepName": "a", "stepIndex": 0},
    EventType.LOG_WRITE: {"stepName": None, "level": "info", "message": "m", "data": None},
}


@pytest.mark.parametrize("type_", PAYLOADS)
def test_every_event_that_is_streamed_has_a_type_of_its_own(type_: EventType) -> None:
    message = projections.client_event(make_event(type_, **PAYLOADS[type_]))
    adapter: TypeAdapter[ClientEvent] = TypeAdapter(ClientEvent)
    assert adapter.validate_python(message, strict=True) == message
    first = next(iter(PAYLOADS[type_]), None)
    if first is not None:
        del message[first]  # type: ignore[misc]
        with pytest.raises(ValueError, match="Field required"):
            adapter.validate_python(message)


def test_a_large_field_is_left_out_and_the_event_says_so() -> None:
    limit = projections.MAX_FIELD_BYTES
    output = "é" * (limit // 2)
    event = projections.client_event(
        make_event(EventType.STEP_COMPLETE, stepName="a", stepIndex=0, output=output, duration=1)
    )
    assert projections.shortened(event) == {**event, "output": None, "truncated": True}
    assert event["output"] == output  # type: ignore[typeddict-item]


def test_a_field_that_just_fits_is_kept() -> None:
    output = "x" * (projections.MAX_FIELD_BYTES - 2)
    event = projections.client_event(make_event(EventType.RUN_COMPLETE, output=output, duration=1))
    assert projections.shortened(event) is event


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None, True, 0.5]}, '{"a":[1,null,true,0.5]}'),
        ("é😀\n\u2028", '"é😀\\n\u2028"'),
        ("\ud800", '"?"'),
    ],
)
def test_json_is_compact_and_in_utf_8(value: Any, text: str) -> None:
    assert projections.to_bytes(value).decode() == text


class Input(TypedDict):
    filename: str


def test_the_types_are_generic_over_a_jobs_input_and_output() -> None:
    """mypy reads this, too."""
    seen: TypedClientRun[Input, int] = projections.client_run(make_run(output=3))
    of_any_job: ClientRun = seen
    run = cast(TypedRun[Input, int], make_run(output=3))
    assert (of_any_job["output"], run.output) == (3, 3)


def test_the_types_are_exported() -> None:
    names = {name for name in vars(projections) if name.endswith("Event")} - {"_RunEvent"}
    names |= {"ClientRun", "TypedClientRun", "TypedRun", "StepRecord", "LogEntry", "Progress"}
    for name in names:
        assert getattr(django_durably, name) is getattr(projections, name)
        assert name in django_durably.__all__
