"""What each endpoint does when all is well, over WSGI and ASGI."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from django_durably import Run, get_job
from django_durably.testing import execute_run, run_job, run_until_idle
from tests.http.asking import Asker

pytestmark = pytest.mark.django_db

RUN_KEYS = {
    "id",
    "jobName",
    "status",
    "input",
    "output",
    "error",
    "currentStepIndex",
    "completedStepCount",
    "progress",
    "labels",
    "startedAt",
    "completedAt",
    "createdAt",
    "isTerminal",
    "isActive",
}


def trigger(api: Asker, **body: Any) -> Any:
    answer = api.post("trigger", body={"jobName": "echo", "input": {}, **body})
    assert answer.status == 200, answer.content
    return answer.json


def names(runs: list[dict[str, Any]]) -> list[str]:
    return [run["input"]["name"] for run in runs]


def echo(name: str, **options: Any) -> Run:
    return get_job("echo").trigger({"name": name}, **options)


def test_trigger_creates_a_run(api: Asker) -> None:
    answer = trigger(api, input={"a": 1}, labels={"org": "1"}, concurrencyKey="k")
    run = Run.objects.get(pk=answer["runId"])
    assert answer == {"runId": str(run.pk), "disposition": "created"}
    assert (run.job_name, run.input, run.labels) == ("echo", {"a": 1}, {"org": "1"})
    assert (run.concurrency_key, run.idempotency_key) == ("k", None)
    assert run.triggered_by is None


def test_trigger_twice_with_an_idempotency_key_answers_with_one_run(api: Asker) -> None:
    first = trigger(api, idempotencyKey="once")
    assert trigger(api, idempotencyKey="once") == {**first, "disposition": "idempotent"}


def test_trigger_may_coalesce(api: Asker) -> None:
    first = trigger(api, concurrencyKey="one")
    second = trigger(api, concurrencyKey="one", coalesce="skip")
    assert second == {**first, "disposition": "coalesced"}


def test_trigger_takes_null_for_what_is_not_given(api: Asker) -> None:
    nothing = dict.fromkeys(("idempotencyKey", "concurrencyKey", "coalesce", "labels"))
    assert trigger(api, **nothing)["disposition"] == "created"


def test_run_has_exactly_the_keys_of_the_wire(api: Asker) -> None:
    run = run_job(get_job("add-in-steps"), [1, 2], labels={"org": "1"})
    seen = api.get("run", {"runId": str(run.pk)}).json
    assert set(seen) == RUN_KEYS
    assert {**seen, "createdAt": "", "startedAt": "", "completedAt": ""} == {
        "id": str(run.pk),
        "jobName": "add-in-steps",
        "status": "completed",
        "input": [1, 2],
        "output": 3,
        "error": None,
        "currentStepIndex": 2,
        "completedStepCount": 2,
        "progress": None,
        "labels": {"org": "1"},
        "createdAt": "",
        "startedAt": "",
        "completedAt": "",
        "isTerminal": True,
        "isActive": False,
    }


def test_a_failed_run_says_why_and_no_more(api: Asker) -> None:
    run = run_job(get_job("fail"), "the reason")
    seen = api.get("run", {"runId": str(run.pk)})
    assert (seen.json["status"], seen.json["error"]) == ("failed", "the reason")
    assert b"Traceback" not in seen.content


def test_runs_are_the_newest_first(api: Asker) -> None:
    for name in "abc":
        echo(name)
    runs = api.get("runs").json
    assert names(runs) == ["c", "b", "a"]
    assert runs[0] == api.get("run", {"runId": runs[0]["id"]}).json


def test_runs_come_in_pages(api: Asker) -> None:
    for name in "abcd":
        echo(name)
    assert names(api.get("runs", {"limit": 2}).json) == ["d", "c"]
    assert names(api.get("runs", {"limit": 2, "offset": 2}).json) == ["b", "a"]
    assert api.get("runs", {"limit": 0}).json == []
    assert api.get("runs", {"offset": 4}).json == []
    assert api.get("runs", {"offset": "9" * 30}).json == []
    assert len(api.get("runs", {"limit": "9" * 30}).json) == 4


def test_runs_are_100_unless_more_are_asked_for(api: Asker) -> None:
    get_job("echo").batch_trigger([{"name": ""}] * 1001)
    assert len(api.get("runs").json) == 100
    assert len(api.get("runs", {"limit": 1001}).json) == 1000


def test_runs_by_job_and_status_mean_any_of_them(api: Asker) -> None:
    failed = run_job(get_job("fail"), "x")
    done = run_job(get_job("echo"), {"name": "done"})
    waiting = echo("waiting")

    def found(**query: Any) -> list[str]:
        return [run["id"] for run in api.get("runs", query).json]

    ids = [str(run.pk) for run in (waiting, done, failed)]
    assert found(jobName="echo") == ids[:2]
    assert found(jobName=["echo", "fail"]) == ids
    assert found(jobName="no-such-job") == []
    assert found(jobName="echo\0") == []
    assert found(status="pending") == ids[:1]
    assert found(status=["pending", "failed"]) == [ids[0], ids[2]]
    assert found(status="completed", jobName="fail") == []


def test_runs_by_labels_must_match_all_of_them(api: Asker) -> None:
    echo("both", labels={"org": "1", "a/b.c-d_e": "Ünï = &"})
    echo("one", labels={"org": "1"})
    echo("other", labels={"org": "2"})

    def found(**query: Any) -> list[str]:
        return names(api.get("runs", query).json)

    assert found(**{"label.org": "1"}) == ["one", "both"]
    assert found(**{"label.org": "1", "label.a/b.c-d_e": "Ünï = &"}) == ["both"]
    assert found(**{"label.org": ["1", "2"]}) == []
    assert found(**{"label.org": ""}) == []


def test_steps_are_in_their_order(api: Asker) -> None:
    run = run_job(get_job("add-in-steps"), [1, 2])
    steps = api.get("steps", {"runId": str(run.pk)}).json
    assert [(s["name"], s["index"], s["output"], s["attempt"]) for s in steps] == [
        ("add-0", 0, 1, 1),
        ("add-1", 1, 3, 1),
    ]
    assert {(s["status"], s["error"], s["runId"]) for s in steps} == {
        ("completed", None, str(run.pk))
    }
    assert set(steps[0]) >= {"id", "startedAt", "completedAt"}


def test_logs_are_the_oldest_first_and_come_in_pages(api: Asker, anything: str) -> None:
    run = run_job(get_job(anything), {"a": [1]})
    for number in range(2):
        run.logs.create(level="warn", message=str(number), timestamp=run.created_at)
    query = {"runId": str(run.pk)}
    logs = api.get("logs", query).json
    assert [(log["level"], log["message"], log["data"], log["stepName"]) for log in logs] == [
        ("info", "got it", {"a": [1]}, None),
        ("warn", "0", None, None),
        ("warn", "1", None, None),
    ]
    assert set(logs[0]) == {"id", "runId", "stepName", "level", "message", "data", "timestamp"}
    assert api.get("logs", {**query, "after": logs[0]["id"], "limit": 1}).json == logs[1:2]
    assert api.get("logs", {**query, "after": "9" * 40}).json == []


def test_retrigger_makes_a_fresh_run(api: Asker) -> None:
    old = echo("again", labels={"org": "1"}, idempotency_key="i", concurrency_key="c")
    execute_run(old)
    answer = api.post("retrigger", {"runId": str(old.pk)}).json
    new = Run.objects.get(pk=answer.pop("runId"))
    assert answer == {"success": True}
    assert (new.status, new.input, new.labels) == ("pending", old.input, old.labels)
    assert (new.concurrency_key, new.idempotency_key) == ("c", None)
    assert new.retriggered_from == old.pk


def test_cancel_ends_a_waiting_run(api: Asker) -> None:
    run = echo("never")
    assert api.post("cancel", {"runId": str(run.pk)}).json == {"success": True}
    assert run_until_idle() == 0
    run.refresh_from_db()
    assert run.status == "cancelled"


def test_delete_takes_steps_and_logs_along(api: Asker, anything: str) -> None:
    run = run_job(get_job(anything), 1, labels={"org": "1"})
    assert api.delete("run", {"runId": str(run.pk)}).json == {"success": True}
    for path in ("run", "steps", "logs", "why"):
        assert api.get(path, {"runId": str(run.pk)}).status == 404
    assert Run.objects.count() == 0


def test_why_a_run_waits(api: Asker) -> None:
    run = echo("waiting")
    why = api.get("why", {"runId": str(run.pk)}).json
    assert why == {"reasons": ["No worker is alive."]}
    ended = run_job(get_job("fail"), "x")
    assert api.get("why", {"runId": str(ended.pk)}).json == {"reasons": []}


def test_jobs_come_with_their_schemas(api: Asker) -> None:
    jobs = {job["name"]: job for job in api.get("jobs").json}
    assert jobs["add-in-steps"] == {
        "name": "add-in-steps",
        "inputSchema": {"type": "array", "items": {"type": "integer"}},
        "outputSchema": {"type": "integer"},
    }


def test_answers_are_not_kept_by_anybody(api: Asker) -> None:
    assert api.get("runs").headers["Cache-Control"] == "no-store"
    assert api.get("nope").headers["Cache-Control"] == "no-store"


def test_times_are_in_utc_with_milliseconds(api: Asker) -> None:
    run = echo("x")
    seen = api.get("run", {"runId": str(run.pk)}).json["createdAt"]
    rounded = run.created_at - timedelta(microseconds=run.created_at.microsecond % 1000)
    assert seen == rounded.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert len(seen) == len("2026-11-22T17:00:00.123Z")


@pytest.mark.parametrize("form", [str, lambda id: id.hex, lambda id: str(id).upper()])
def test_an_id_may_be_written_as_uuids_are(api: Asker, form: Any) -> None:
    run = echo("x")
    assert api.get("run", {"runId": form(run.pk)}).json["id"] == str(run.pk)
    assert api.get("run", {"runId": form(uuid4())}).status == 404
