"""The OpenAPI document is valid, complete and true: thousands of generated requests hold it."""

import copy
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from asgiref.sync import async_to_sync
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.test import AsyncClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks
from werkzeug.test import EnvironBuilder

from django_durably import Run
from django_durably.http import openapi
from django_durably.http.urls import ROUTES
from django_durably.testing import execute_run
from tests.http.asking import Asker

Case = schemathesis.Case[Any]

pytestmark = pytest.mark.django_db

EXAMPLES = 40
ACTIVE, ENDED = UUID(int=7 << 76 | 2 << 62), UUID(int=7 << 76 | 2 << 62 | 1)
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
OPERATIONS = [(method, path) for path, operations in openapi.PATHS.items() for method in operations]
WITHOUT_PARAMETERS = ("/jobs", "/openapi.json")
STREAMS = ("/subscribe", "/runs/subscribe")
KINDS = [
    (method, path, mode)
    for method, path in OPERATIONS
    for mode in GenerationMode
    if path not in STREAMS and (mode == GenerationMode.POSITIVE or path not in WITHOUT_PARAMETERS)
]


def document() -> dict[str, Any]:
    """The document with ids and names that exist, so that what is valid is also found."""
    changed = copy.deepcopy(openapi.document("/open"))
    for operations in changed["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                if parameter["name"] == "runId":
                    parameter["schema"] = {"enum": [str(ACTIVE), str(ENDED)]}
    properties = changed["components"]["schemas"]["Trigger"]["properties"]
    properties["jobName"] = {"enum": ["echo", "add-in-steps"]}
    properties["input"] = {
        "anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "integer"}}]
    }
    return changed


SCHEMA = schemathesis.openapi.from_dict(document())
SCHEMA.app = get_wsgi_application()


@pytest.fixture
def _one_connection() -> Iterator[None]:
    """As Django's test client has it: a request leaves the test's connection open."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.mark.usefixtures("_one_connection")
@pytest.mark.parametrize(("method", "path", "mode"), KINDS)
def test_generated_requests_are_answered_as_documented(
    method: str, path: str, mode: GenerationMode
) -> None:
    statuses = set()

    @generated(method, path, mode)
    def holds(case: Case) -> None:
        statuses.add(case.call_and_validate(checks=CHECKS).status_code)

    holds()
    assert 200 in statuses or mode == GenerationMode.NEGATIVE


@pytest.mark.usefixtures("_one_connection")
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", STREAMS)
def test_generated_requests_open_streams_as_documented(path: str, mode: GenerationMode) -> None:
    responses = openapi.PATHS[path]["get"]["responses"]
    statuses = {int(status) for status in responses} - {501}
    seen = set()

    @generated("get", path, mode)
    def holds(case: Case) -> None:
        response = async_to_sync(opened)(case)
        seen.add(response.status_code)
        assert response.status_code in statuses
        content_type = "text/event-stream" if response.streaming else "application/json"
        assert response.headers["Content-Type"] == content_type

    holds()
    assert 200 in seen or mode == GenerationMode.NEGATIVE


async def opened(case: Case) -> Any:
    """The answer of the ASGI handler, of which nothing is read."""
    sent = EnvironBuilder(**case.as_transport_kwargs(base_url="/open"))
    path = f"{sent.path}?{sent.get_environ()['QUERY_STRING']}"
    client: Any = AsyncClient()
    return await client.generic("GET", path, headers=dict(sent.headers.items()))


def generated(
    method: str, path: str, mode: GenerationMode
) -> Callable[[Callable[[Case], None]], Callable[[], None]]:
    """Call a function with many requests to this operation, each on the same two runs."""
    strategy = SCHEMA[path][method.upper()].as_strategy(generation_mode=mode)

    def decorate(check: Callable[[Case], None]) -> Callable[[], None]:
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def checked(case: Case) -> None:
            with transaction.atomic():
                make_runs()
                check(case)
                transaction.set_rollback(True)

        return checked

    return decorate


def make_runs() -> None:
    """A run that waits, and one that is done, with steps."""
    for id in (ACTIVE, ENDED):
        run = Run.objects.create(pk=id, job_name="add-in-steps", input=[1, 2], labels={"a": "b"})
        run.label_rows.create(key="a", value="b")
    execute_run(run)


def test_every_route_is_in_the_document() -> None:
    served = {
        (method.lower(), f"/{route}") for route, methods in ROUTES.items() for method in methods
    }
    assert served | {("get", path) for path in STREAMS} == set(OPERATIONS)


def test_the_document_is_valid() -> None:
    SCHEMA.validate()


def test_the_document_says_where_the_api_is_mounted(api: Asker) -> None:
    served = api.at("default")
    assert served.get("openapi.json").status == 401
    answer = api.at("open").get("openapi.json").json
    assert answer["servers"] == [{"url": "/open"}]
    assert answer["paths"] == openapi.PATHS
