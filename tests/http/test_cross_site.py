"""A page of another site cannot make a visitor's browser change anything."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from django_durably import get_job
from tests.http.asking import Asker
from tests.http.conftest import permit

pytestmark = pytest.mark.django_db

BODY = {"jobName": "echo", "input": {}}
OWN = "http://testserver"


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": ""}, False),
        ({"Sec-Fetch-Site": "Same-Origin"}, False),
        ({"Origin": OWN}, True),
        ({"Origin": "http://testserver:8000"}, False),
        ({"Origin": "https://testserver"}, False),
        ({"Origin": "http://testserver.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": OWN, "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://trusted.example"}, True),
        ({"Origin": "https://trusted.example", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": "http://trusted.example"}, False),
        ({"Origin": "https://trusted.example:444"}, False),
        ({"Origin": "https://a.b.example", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": "https://b.example"}, True),
        ({"Origin": "http://a.b.example"}, False),
        ({"Origin": "https://ab.example"}, False),
    ],
)
def test_an_unsafe_request_must_come_from_the_site_or_from_no_browser(
    api: Asker, settings: Any, headers: dict[str, str], passes: bool
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example", "https://*.b.example"]
    answer = api.ask("POST", "trigger", body=BODY, headers=headers)
    assert answer.status == (200 if passes else 403)
    if not passes:
        assert answer.error == "Cross-site request refused"


def test_every_unsafe_endpoint_is_guarded_before_anything_else(api: Asker) -> None:
    run = {"runId": str(get_job("echo").trigger({}).pk)}
    for mount in ("open", "default", "tenants"):
        for method, path in (
            ("POST", "trigger"),
            ("POST", "cancel"),
            ("POST", "retrigger"),
            ("DELETE", "run"),
        ):
            headers = {"Sec-Fetch-Site": "cross-site"}
            assert api.at(mount).ask(method, path, run, headers=headers).status == 403


def test_reading_is_not_refused(api: Asker) -> None:
    assert api.ask("GET", "runs", headers={"Sec-Fetch-Site": "cross-site"}).status == 200
    assert api.ask("OPTIONS", "trigger", headers={"Sec-Fetch-Site": "cross-site"}).status == 204


def test_a_policy_without_cookies_needs_no_check(api: Asker, user: User) -> None:
    permit(user, "trigger_run")
    headers = {"Sec-Fetch-Site": "cross-site", "Authorization": "Bearer ada"}
    tokens = api.at("tokens")
    assert tokens.ask("POST", "trigger", body=BODY, headers=headers).status == 200
    answer = tokens.ask("POST", "trigger", body=BODY, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status, answer.error) == (401, "Unknown token")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_no_token_is_needed_in_the_page(user: User) -> None:
    from django.test import Client

    permit(user, "trigger_run")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    answer = Asker(client, "default").ask(
        "POST", "trigger", body=BODY, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status == 200
    assert Asker(client, "default").post("nope").status == 404
