"""Who may do what with whose run: every operation, by the owner, another tenant and nobody.

What another tenant is answered must be what is answered about a run that does not exist.
"""

import json
from typing import Any
from uuid import uuid4

import pytest

from django_durably import Run, get_job
from django_durably.models import Event
from django_durably.testing import run_job
from tests.http.asking import Answer, Asker
from tests.http.policies import SHUT

pytestmark = pytest.mark.django_db

OPERATIONS = [
    ("GET", "run", "ended"),
    ("GET", "steps", "ended"),
    ("GET", "logs", "ended"),
    ("GET", "why", "active"),
    ("POST", "retrigger", "ended"),
    ("POST", "retrigger", "active"),
    ("POST", "cancel", "active"),
    ("POST", "cancel", "ended"),
    ("DELETE", "run", "ended"),
    ("DELETE", "run", "active"),
]
FORBIDDEN_BY_STATE = {("retrigger", "active"), ("cancel", "ended"), ("run", "active")}


@pytest.fixture(params=["tenants", "async/tenants"])
def tenants(request: pytest.FixtureRequest, api: Asker) -> Asker:
    return api.at(request.param)


@pytest.fixture
def runs() -> dict[str, Run]:
    """Two runs of the tenant `one`."""
    labels = {"tenant": "one"}
    return {
        "active": get_job("echo").trigger({"secret": "active"}, labels=labels),
        "ended": run_job(get_job("echo"), {"secret": "ended"}, labels=labels),
    }


@pytest.mark.parametrize(("method", "path", "state"), OPERATIONS)
def test_a_run_is_its_owners(
    tenants: Asker, runs: dict[str, Run], method: str, path: str, state: str
) -> None:
    answer = tenants.ask(method, path, of(runs[state]), headers={"X-Tenant": "one"})
    forbidden = (path, state) in FORBIDDEN_BY_STATE and method != "GET"
    assert answer.status == (409 if forbidden else 200)


@pytest.mark.parametrize(("method", "path", "state"), OPERATIONS)
@pytest.mark.parametrize("tenant", ["two", "One", "", SHUT])
def test_a_run_of_another_tenant_is_like_none(
    tenants: Asker, runs: dict[str, Run], method: str, path: str, state: str, tenant: str
) -> None:
    before = history()
    headers = {"X-Tenant": tenant}
    theirs = tenants.ask(method, path, of(runs[state]), headers=headers)
    nobodys = tenants.ask(method, path, {"runId": str(uuid4())}, headers=headers)
    assert theirs == nobodys
    assert (theirs.status, theirs.error) == (404, "Run not found")
    assert history() == before


@pytest.mark.parametrize(("method", "path", "state"), OPERATIONS)
def test_nobody_is_not_authenticated_before_anything_else(
    tenants: Asker, runs: dict[str, Run], method: str, path: str, state: str
) -> None:
    before = history()
    for query in (of(runs[state]), {"runId": "x"}, {}):
        refused(tenants.ask(method, path, query))
    assert history() == before


def of(run: Run) -> dict[str, str]:
    return {"runId": str(run.pk)}


def history() -> list[Any]:
    """All that is stored about runs."""
    runs = Run.objects.order_by("pk").values_list("pk", "status", "updated_at")
    return [*runs, *Event.objects.order_by("pk").values_list("pk", flat=True)]


def refused(answer: Answer) -> None:
    assert (answer.status, answer.error) == (401, "Not authenticated")
    assert answer.headers["WWW-Authenticate"] == "Tenant"


def test_nobody_gets_no_answer_that_needs_no_run(tenants: Asker) -> None:
    for path in ("runs", "jobs", "openapi.json"):
        refused(tenants.get(path))
        refused(tenants.get(path, {"limit": "x"}))
    refused(tenants.post("trigger", body={"jobName": "nope"}))
    refused(tenants.post("trigger", body=b"{"))


def test_lists_are_the_tenants_own(tenants: Asker, runs: dict[str, Run]) -> None:
    own = tenants.get("runs", X_Tenant="one").json
    assert {run["id"] for run in own} == {str(run.pk) for run in runs.values()}
    assert tenants.get("runs", X_Tenant="two").json == []
    for query in (
        {"label.tenant": "one"},
        {"label.tenant": ["one", "two"]},
        {"status": ["pending", "completed"], "jobName": "echo"},
        {"limit": 1000, "offset": 0},
    ):
        assert tenants.get("runs", query, X_Tenant="two").json == []


def test_what_is_triggered_is_the_tenants_own(tenants: Asker) -> None:
    body = {"jobName": "echo", "input": {}, "labels": {"tenant": "two", "a": "b"}}
    body |= {"idempotencyKey": "i", "concurrencyKey": "c"}
    answer = tenants.post("trigger", body=body, X_Tenant="one")
    run = Run.objects.get(pk=answer.json["runId"])
    assert run.labels == {"tenant": "one", "a": "b"}
    assert (run.idempotency_key, run.concurrency_key) == ("one:i", "one:c")
    assert run.triggered_by == "tenant one"
    assert tenants.get("run", of(run), X_Tenant="two").status == 404
    again = tenants.post("trigger", body=body, X_Tenant="two")
    assert again.json["disposition"] == "created"


def test_a_retriggered_run_is_the_tenants_own(tenants: Asker, runs: dict[str, Run]) -> None:
    answer = tenants.post("retrigger", of(runs["ended"]), X_Tenant="one")
    run = Run.objects.get(pk=answer.json["runId"])
    assert (run.labels, run.triggered_by) == ({"tenant": "one"}, "tenant one")


def test_a_tenant_that_may_do_nothing_is_told_so_where_no_run_is_named(tenants: Asker) -> None:
    body = {"jobName": "echo", "input": {}}
    for answer in (
        tenants.get("runs", X_Tenant=SHUT),
        tenants.post("trigger", body=body, X_Tenant=SHUT),
    ):
        assert (answer.status, answer.error) == (403, "This tenant is shut")
    assert tenants.get("jobs", X_Tenant=SHUT).json == []
    assert Run.objects.count() == 0


def test_validation_comes_before_permission(tenants: Asker) -> None:
    assert tenants.post("trigger", body={}, X_Tenant=SHUT).status == 400
    assert tenants.post("trigger", body={"jobName": "x"}, X_Tenant=SHUT).status == 404
    body = {"jobName": "echo", "input": 1}
    assert tenants.post("trigger", body=body, X_Tenant=SHUT).status == 400


def test_a_prefix_that_makes_a_key_too_long_is_a_400(tenants: Asker) -> None:
    body = {"jobName": "echo", "input": {}, "idempotencyKey": "x" * 255}
    answer = tenants.post("trigger", body=body, X_Tenant="one")
    assert (answer.status, answer.error) == (400, "idempotencyKey must have 1 to 255 characters")


@pytest.mark.parametrize(
    "keys",
    [
        {"idempotencyKey": "k"},
        {"concurrencyKey": "k"},
        {"concurrencyKey": "k", "coalesce": "skip"},
        {"concurrencyKey": "k", "idempotencyKey": "k"},
    ],
)
def test_a_trigger_is_never_answered_with_the_run_of_another_tenant(
    api: Asker, keys: dict[str, str]
) -> None:
    shared = api.at("shared")
    body = {"jobName": "echo", "input": {"secret": "one"}, **keys}
    theirs = shared.post("trigger", body=body, X_Tenant="one").json["runId"]
    before = history()
    answer = shared.post("trigger", body={**body, "input": {"mine": 2}}, X_Tenant="two")
    assert (answer.status, answer.error) == (409, "A run already holds this key")
    assert theirs.encode() not in answer.content
    # Nor do they hear of what was asked for, in an event `run:coalesced`.
    assert history() == before


def test_why_names_and_counts_no_runs_of_others(tenants: Asker) -> None:
    echo = get_job("echo")
    holder = echo.trigger({}, concurrency_key="k", labels={"tenant": "one"})
    Run.objects.filter(pk=holder.pk).update(status="leased", started_at=holder.created_at)
    echo.trigger({}, labels={"tenant": "one"})
    run = echo.trigger({}, concurrency_key="k", labels={"tenant": "two"})
    both = {"tenant": "two"}
    answer = tenants.get("why", of(run), X_Tenant="two")
    assert answer.json["reasons"] == [
        "No worker is alive.",
        "Its concurrency key is held by another run.",
    ]
    Run.objects.exclude(pk=run.pk).update(labels=both)
    for other in Run.objects.exclude(pk=run.pk):
        other.label_rows.update(value="two")
    answer = tenants.get("why", of(run), X_Tenant="two")
    assert answer.json["reasons"] == [
        "No worker is alive.",
        f"Its concurrency key is held by the run {holder.pk} (echo).",
        "1 older run of its job is waiting.",
    ]


def test_who_may_read_is_told_what_else_is_not_permitted(api: Asker, runs: dict[str, Run]) -> None:
    readers, run = api.at("readers"), of(runs["ended"])
    assert readers.get("run", run, X_Tenant="one").status == 200
    assert readers.get("steps", run, X_Tenant="one").status == 200
    refusals = [
        readers.get("logs", run, X_Tenant="one"),
        readers.post("retrigger", run, X_Tenant="one"),
        readers.post("cancel", of(runs["active"]), X_Tenant="one"),
        readers.delete("run", run, X_Tenant="one"),
    ]
    assert {(answer.status, answer.error) for answer in refusals} == {(403, "You may only read")}
    assert readers.delete("run", run, X_Tenant="two").status == 404


def test_nothing_of_others_is_in_any_answer(tenants: Asker, runs: dict[str, Run]) -> None:
    headers = {"X-Tenant": "two"}
    answers = [
        tenants.ask(method, path, of(run), headers=headers)
        for run in runs.values()
        for method, path, _ in OPERATIONS
    ]
    answers += [tenants.get(path, X_Tenant="two") for path in ("runs", "jobs", "openapi.json")]
    said = json.dumps([answer.content.decode() for answer in answers])
    assert "secret" not in said
    assert not any(str(run.pk) in said for run in runs.values())
