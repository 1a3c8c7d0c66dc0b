"""Every error that the wire protocol names, with its status and its words."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from django_durably import Run, get_job
from django_durably.testing import run_job
from tests.http.asking import Asker, to_json

pytestmark = pytest.mark.django_db

OF_ONE_RUN = [
    ("GET", "run"),
    ("GET", "steps"),
    ("GET", "logs"),
    ("GET", "why"),
    ("POST", "retrigger"),
    ("POST", "cancel"),
    ("DELETE", "run"),
]
BODIES: list[tuple[Any, str]] = [
    ({}, "jobName is required"),
    ({"jobName": ""}, "jobName is required"),
    ({"jobName": None}, "jobName is required"),
    ({"jobName": 1}, "jobName must be a string"),
    ({"jobName": "echo", "input": 1}, "input: Input should be"),
    ({"jobName": "add-in-steps", "input": [1, "x"]}, "input[1]: Input should be"),
    ({"jobName": "echo"}, "input: Input should be"),
    ({"jobName": "echo", "input": {}, "coalesce": "skip"}, "coalesce needs a concurrencyKey"),
    (
        {"jobName": "echo", "input": {}, "coalesce": "merge", "concurrencyKey": "k"},
        "coalesce must be 'skip'",
    ),
    (
        {"jobName": "echo", "input": {}, "coalesce": False, "concurrencyKey": "k"},
        "coalesce must be 'skip'",
    ),
    ({"jobName": "echo", "input": {}, "labels": []}, "labels must be an object"),
    ({"jobName": "echo", "input": {}, "labels": "a"}, "labels must be an object"),
    ({"jobName": "echo", "input": {}, "labels": {"a b": "1"}}, "label key 'a b' must be"),
    ({"jobName": "echo", "input": {}, "labels": {"": "1"}}, "label key '' must be"),
    ({"jobName": "echo", "input": {}, "labels": {"org": 1}}, "labels.org must be a string"),
    ({"jobName": "echo", "input": {}, "labels": {"org": None}}, "labels.org must be a string"),
    ({"jobName": "echo", "input": {}, "labels": {"o": "x" * 256}}, "labels.o must have at most"),
    ({"jobName": "echo", "input": {}, "idempotencyKey": ""}, "idempotencyKey must have 1 to 255"),
    ({"jobName": "echo", "input": {}, "concurrencyKey": "x" * 256}, "concurrencyKey must have 1"),
    ({"jobName": "echo", "input": {}, "concurrencyKey": 5}, "concurrencyKey must be a string"),
    ({"jobName": "echo", "input": {}, "idempotencyKey": "\0"}, "idempotencyKey holds the char"),
    ({"jobName": "echo", "input": {"a": "\0"}}, "input.a holds the character U+0000"),
    ([], "body must be a JSON object, not list"),
    (b"null", "body must be a JSON object, not NoneType"),
    (b'"text"', "body must be a JSON object, not str"),
    (b"", "body is not valid JSON"),
    (b"{", "body is not valid JSON"),
    (b"\xff\xfe\xff", "body is not valid JSON"),
    (b'{"jobName": "echo", "input": {"a": NaN}}', "body is not valid JSON"),
    (b'{"jobName": "echo", "input": {"a": 1e999}}', "input.a is inf, which JSON does not know"),
    (b'{"jobName": "echo", "input": {"a": "\\ud800"}}', "input.a holds the character U+D800"),
    (b"[" * 100_000, "body is not valid JSON"),
    (b'{"a": ' + b"1" * 5000 + b"}", "body is not valid JSON"),
]


@pytest.mark.parametrize(("body", "words"), BODIES, ids=range(len(BODIES)))
def test_a_bad_trigger_is_a_400_that_names_the_field(api: Asker, body: Any, words: str) -> None:
    answer = api.post("trigger", body=body)
    assert (answer.status, answer.error[: len(words)]) == (400, words)
    assert Run.objects.count() == 0


@pytest.mark.parametrize("name", ["nope", "Echo", "echo ", "écho", "\0", "x" * 5000, "\ud800"])
def test_an_unknown_job_is_a_404(api: Asker, name: str) -> None:
    answer = api.post("trigger", body=to_json({"jobName": "@"}).replace(b"@", escaped(name)))
    assert answer.status == 404
    assert answer.error == f"Job not found: {name}".replace("\ud800", "?")


def escaped(text: str) -> bytes:
    return "".join(f"\\u{ord(letter):04x}" for letter in text).encode()


@pytest.mark.parametrize(("method", "path"), OF_ONE_RUN)
def test_a_run_id_is_needed(api: Asker, method: str, path: str) -> None:
    for query in ({}, {"runId": ""}, {"runid": "x"}):
        answer = api.ask(method, path, query)
        assert (answer.status, answer.error) == (400, "runId query parameter is required")


@pytest.mark.parametrize(("method", "path"), OF_ONE_RUN)
@pytest.mark.parametrize("run_id", ["x", "1", "\0", "😀", "-" * 36, "0" * 400, str(uuid4())])
def test_an_unknown_or_malformed_id_is_a_404(
    api: Asker, method: str, path: str, run_id: str
) -> None:
    answer = api.ask(method, path, {"runId": run_id})
    assert (answer.status, answer.error) == (404, "Run not found")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            {"status": "x"},
            "Invalid status: x. Must be one of: pending, leased, completed, failed, cancelled",
        ),
        ({"status": ""}, "Invalid status: . Must be one of: "),
        ({"status": ["pending", "PENDING"]}, "Invalid status: PENDING. "),
        ({"limit": "-1"}, "limit must be a non-negative integer"),
        ({"limit": ""}, "limit must be a non-negative integer"),
        ({"limit": "1.5"}, "limit must be a non-negative integer"),
        ({"limit": "٣"}, "limit must be a non-negative integer"),
        ({"limit": "1e3"}, "limit must be a non-negative integer"),
        ({"offset": "x"}, "offset must be a non-negative integer"),
        ({"offset": " 1"}, "offset must be a non-negative integer"),
        ({"label.": "1"}, "label key '' must be"),
        ({"label.a b": "1"}, "label key 'a b' must be"),
        ({"label.ü": "1"}, "label key 'ü' must be"),
        ({"label.a": "x" * 256}, "labels.a must have at most 255"),
        ({"label.a": "\0"}, "labels.a must not hold NUL"),
    ],
)
def test_a_bad_filter_is_a_400(api: Asker, query: dict[str, Any], words: str) -> None:
    answer = api.get("runs", query)
    assert (answer.status, answer.error[: len(words)]) == (400, words)


def test_the_log_after_what_is_no_number_is_a_400(api: Asker) -> None:
    run = get_job("echo").trigger({})
    answer = api.get("logs", {"runId": str(run.pk), "after": "x"})
    assert (answer.status, answer.error) == (400, "after must be a non-negative integer")


def test_a_held_concurrency_key_is_a_409(api: Asker) -> None:
    body = {"jobName": "echo", "input": {}, "concurrencyKey": "k"}
    assert api.post("trigger", body=body).status == 200
    answer = api.post("trigger", body=body)
    assert answer.status == 409
    assert "A pending run of echo already holds the concurrency key" in answer.error
    assert Run.objects.count() == 1


def test_what_the_state_of_a_run_forbids_is_a_409(api: Asker) -> None:
    active = {"runId": str(get_job("echo").trigger({}).pk)}
    ended = {"runId": str(run_job(get_job("fail"), "x").pk)}
    assert api.post("retrigger", active).error == "Run is still pending"
    assert api.delete("run", active).error == "Run is still pending"
    assert api.post("cancel", ended).error == "Run is already failed"
    answers = [
        api.post("retrigger", active),
        api.delete("run", active),
        api.post("cancel", ended),
    ]
    assert [answer.status for answer in answers] == [409, 409, 409]


def test_retrigger_when_the_key_is_taken_is_a_409(api: Asker) -> None:
    run = run_job(get_job("echo"), {}, concurrency_key="k")
    get_job("echo").trigger({}, concurrency_key="k")
    assert api.post("retrigger", {"runId": str(run.pk)}).status == 409


def test_retrigger_validates_against_the_schema_of_today(api: Asker, anything: str) -> None:
    run = run_job(get_job(anything), "text")
    Run.objects.filter(pk=run.pk).update(job_name="add-in-steps")
    answer = api.post("retrigger", {"runId": str(run.pk)})
    assert (answer.status, answer.error[:5]) == (400, "input")
    Run.objects.filter(pk=run.pk).update(job_name="gone")
    answer = api.post("retrigger", {"runId": str(run.pk)})
    assert (answer.status, answer.error) == (404, "Job not found: gone")


def test_a_body_over_the_limit_is_a_413(api: Asker, settings: Any) -> None:
    settings.DURABLY = {"MAX_BODY_BYTES": 100}
    body = to_json({"jobName": "echo", "input": {"a": ""}})
    room = 100 - len(body)
    fits = to_json({"jobName": "echo", "input": {"a": "x" * room}})
    assert (len(fits), api.post("trigger", body=fits).status) == (100, 200)
    answer = api.post("trigger", body=fits.replace(b"x", b"xx", 1))
    assert (answer.status, answer.error) == (413, "The body is too large")


def test_a_body_over_djangos_limit_is_a_413(api: Asker, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    answer = api.post("trigger", body={"jobName": "echo", "input": {}})
    assert (answer.status, answer.error) == (413, "The body is too large")


def test_a_declared_length_is_believed_before_anything_is_read() -> None:
    """WSGI alone lets the length be wrong: Django's ASGI handler reads the body by itself."""
    answer = Client().post(
        "/open/trigger",
        b"{}",
        content_type="application/json",
        CONTENT_LENGTH=str(2**40),
    )
    assert answer.status_code == 413


def test_too_many_parameters_are_a_400(api: Asker, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
    answer = api.get("runs", {"jobName": ["a", "b", "c"]})
    assert (answer.status, answer.error) == (400, "Bad request")


@pytest.mark.parametrize(
    "path",
    ["", "nope", "runs/", "run/x", "trigger/", "runs/subscribe/", "a/b/c", "openapi.JSON", "😀"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
def test_an_unknown_route_is_a_404(api: Asker, method: str, path: str) -> None:
    answer = api.ask(method, path)
    assert (answer.status, answer.error) == (404, "Not found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("trigger", "OPTIONS, POST"),
        ("runs", "GET, HEAD, OPTIONS"),
        ("run", "DELETE, GET, HEAD, OPTIONS"),
        ("steps", "GET, HEAD, OPTIONS"),
        ("logs", "GET, HEAD, OPTIONS"),
        ("why", "GET, HEAD, OPTIONS"),
        ("retrigger", "OPTIONS, POST"),
        ("cancel", "OPTIONS, POST"),
        ("jobs", "GET, HEAD, OPTIONS"),
        ("openapi.json", "GET, HEAD, OPTIONS"),
        ("subscribe", "GET, OPTIONS"),
        ("runs/subscribe", "GET, OPTIONS"),
    ],
)
def test_another_method_is_a_405_that_says_which(api: Asker, path: str, allowed: str) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - set(allowed.split(", ")):
        answer = api.ask(method, path)
        assert (answer.status, answer.error) == (405, "Method not allowed"), method
        assert answer.headers["Allow"] == allowed
    options = api.ask("OPTIONS", path)
    assert (options.status, options.headers["Allow"], options.content) == (204, allowed, b"")


def test_head_is_get_without_its_body(api: Asker) -> None:
    run = get_job("echo").trigger({})
    answer = api.ask("HEAD", "run", {"runId": str(run.pk)})
    assert (answer.status, answer.content) == (200, b"")
    assert api.ask("HEAD", "run", {"runId": "x"}).status == 404
    assert api.ask("HEAD", "trigger").status == 405


def test_what_nobody_expected_is_a_500_without_internals(
    api: Asker, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.DEBUG = True
    api.client.raise_request_exception = False
    answer = api.at("broken").get("runs", {"limit": 1})
    assert (answer.status, answer.error) == (500, "Internal server error")
    logged = [record for record in caplog.records if record.exc_info]
    assert [record.name for record in logged] == ["django.request"]
    assert "the secret" in str(logged[0].exc_info)


def test_what_nobody_expected_is_reported_as_django_does(api: Asker) -> None:
    with pytest.raises(RuntimeError, match="the secret"):
        api.at("broken").get("runs")
