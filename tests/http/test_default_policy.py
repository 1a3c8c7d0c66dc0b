"""The policy of the settings: Django's users and permissions, unless a project names another."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from django_durably import Run, get_job
from django_durably.testing import run_job
from tests.http.asking import Asker
from tests.http.conftest import permit

pytestmark = pytest.mark.django_db

NEEDS = {
    ("GET", "run"): "view_run",
    ("GET", "steps"): "view_run",
    ("GET", "logs"): "view_run",
    ("GET", "why"): "view_run",
    ("POST", "retrigger"): "trigger_run",
    ("POST", "cancel"): "cancel_run",
    ("DELETE", "run"): "delete_run",
}
ALL = ["view_run", "trigger_run", "cancel_run", "delete_run"]


@pytest.fixture(params=["wsgi", "asgi"])
def ours(request: pytest.FixtureRequest, user: User) -> Asker:
    """A client whose user is logged in, and permitted nothing yet."""
    if request.param == "wsgi":
        client: Client | AsyncClient = Client()
        client.force_login(user)
    else:
        client = AsyncClient()
        async_to_sync(client.aforce_login)(user)
    return Asker(client, "default")


def run_for(path: str) -> dict[str, str]:
    run = get_job("echo").trigger({}) if path == "cancel" else run_job(get_job("echo"), {})
    return {"runId": str(run.pk)}


@pytest.mark.parametrize(("method", "path"), NEEDS)
def test_an_operation_needs_its_permission_and_no_other(
    ours: Asker, user: User, method: str, path: str
) -> None:
    needed = NEEDS[method, path]
    permit(user, *(name for name in ALL if name != needed))
    hidden = 404 if needed == "view_run" else 403
    assert ours.ask(method, path, run_for(path)).status == hidden
    user.user_permissions.clear()
    permit(user, needed)
    assert ours.ask(method, path, run_for(path)).status == 200


@pytest.mark.parametrize(("method", "path"), NEEDS)
def test_who_may_not_view_runs_learns_nothing_of_them(ours: Asker, method: str, path: str) -> None:
    answer = ours.ask(method, path, run_for(path))
    assert answer == ours.ask(method, path, {"runId": "01900000-0000-7000-8000-000000000000"})
    assert answer.status == 404


def test_lists_need_the_permission_to_view(ours: Asker, user: User) -> None:
    assert ours.get("runs").status == 403
    permit(user, "view_run")
    assert ours.get("runs").json == []


def test_triggering_needs_its_permission_and_tells_who_did_it(ours: Asker, user: User) -> None:
    body = {"jobName": "echo", "input": {}}
    assert ours.post("trigger", body=body).status == 403
    assert ours.get("jobs").json == []
    permit(user, "trigger_run")
    run = Run.objects.get(pk=ours.post("trigger", body=body).json["runId"])
    assert run.triggered_by == "ada"
    assert "echo" in [job["name"] for job in ours.get("jobs").json]


def test_a_retriggered_run_tells_who_did_it(ours: Asker, user: User) -> None:
    permit(user, "trigger_run", "view_run")
    answer = ours.post("retrigger", run_for("retrigger"))
    assert Run.objects.get(pk=answer.json["runId"]).triggered_by == "ada"


def test_who_may_trigger_but_not_view_does_not_get_an_existing_run(ours: Asker, user: User) -> None:
    permit(user, "trigger_run")
    body = {"jobName": "echo", "input": {}, "idempotencyKey": "k"}
    assert ours.post("trigger", body=body).json["disposition"] == "created"
    assert ours.post("trigger", body=body).status == 409


def test_an_inactive_user_may_do_nothing(ours: Asker, user: User) -> None:
    permit(user, *ALL)
    User.objects.update(is_active=False)
    assert ours.get("runs").status == 401


def test_a_superuser_may_do_everything(ours: Asker) -> None:
    User.objects.update(is_superuser=True)
    for method, path in NEEDS:
        assert ours.ask(method, path, run_for(path)).status == 200


def test_nobody_may_do_nothing(api: Asker) -> None:
    for method, path in NEEDS:
        answer = api.at("default").ask(method, path, run_for(path))
        assert (answer.status, answer.error) == (401, "Not authenticated")


def test_the_setting_names_the_policy(api: Asker, settings: Any) -> None:
    assert api.at("default").get("runs").status == 401
    settings.DURABLY = {"POLICY": "django_durably.access.AllowAny"}
    assert api.at("default").get("runs").status == 200
    settings.DURABLY = {"POLICY": "tests.http.policies.TenantPolicy"}
    assert api.at("default").get("runs", X_Tenant="one").status == 200
    assert api.at("default").get("runs").status == 401


def test_without_authentication_middleware_nobody_is_authenticated(
    api: Asker, settings: Any
) -> None:
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    assert api.at("default").get("runs").status == 401
    body = {"jobName": "echo", "input": {}}
    run = Run.objects.get(pk=api.post("trigger", body=body).json["runId"])
    assert run.triggered_by is None
