"""Asking policies from threads and from an event loop, and answering what is refused."""

from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, UnreadablePostError
from django.test import RequestFactory

from django_durably import ConflictError, Run, ValidationError, get_job, guard
from django_durably.access import NotAuthenticated, Operation, Policy, RunFilter
from django_durably.exceptions import NotFoundError

REQUEST = RequestFactory().get("/")


class Own(Policy):
    """Each hook uses the ORM, which an event loop refuses in a plain function that runs on it."""

    def authenticate(self, request: Any) -> str:
        return f"one of {Run.objects.count()}"

    def authorize_run(self, context: str, run: Run, operation: str) -> None:
        Run.objects.count()
        if run.labels.get("owner") != "me" or operation == Operation.DELETE:
            raise PermissionDenied("not yours")

    def scope_runs(self, context: str, filter: RunFilter) -> RunFilter:
        Run.objects.count()
        return filter.with_labels(owner="me")


class OwnAsync(Policy):
    async def authenticate(self, request: Any) -> str:
        return f"one of {await Run.objects.acount()}"

    async def authorize_run(self, context: str, run: Run, operation: str) -> None:
        await Run.objects.acount()
        if run.labels.get("owner") != "me" or operation == Operation.DELETE:
            raise PermissionDenied("not yours")

    async def scope_runs(self, context: str, filter: RunFilter) -> RunFilter:
        await Run.objects.acount()
        return filter.with_labels(owner="me")


POLICIES = [Own(), OwnAsync()]


@pytest.mark.django_db
@pytest.mark.parametrize("policy", POLICIES)
def test_hooks_of_both_kinds_are_asked_from_a_thread(policy: Policy) -> None:
    mine = get_job("echo").trigger({}, labels={"owner": "me"})
    assert guard.admit(policy, REQUEST) == "one of 1"
    assert guard.find_run(policy, None, str(mine.pk)) == mine
    assert guard.scope_runs(policy, None, RunFilter()) == RunFilter().with_labels(owner="me")
    assert guard.scope_events(policy, None, RunFilter()) == RunFilter().with_labels(owner="me")


@pytest.mark.django_db
@pytest.mark.parametrize("policy", POLICIES)
def test_hooks_of_both_kinds_are_asked_from_an_event_loop(policy: Policy) -> None:
    mine = get_job("echo").trigger({}, labels={"owner": "me"})
    scope = RunFilter().with_labels(owner="me")

    async def asked() -> None:
        assert await guard.aadmit(policy, REQUEST) == "one of 1"
        assert await guard.afind_run(policy, None, str(mine.pk)) == mine
        assert await guard.ascope_runs(policy, None, RunFilter()) == scope
        assert await guard.ascope_events(policy, None, RunFilter()) == scope
        assert await guard.acall(policy.scope_runs, None, RunFilter()) == scope

    async_to_sync(asked)()


@pytest.mark.django_db
@pytest.mark.parametrize("policy", POLICIES)
def test_a_run_that_may_not_be_read_is_not_found(policy: Policy) -> None:
    mine = get_job("echo").trigger({}, labels={"owner": "me"})
    theirs = get_job("echo").trigger({}, labels={"owner": "you"})
    for run_id in (str(theirs.pk), str(uuid4()), "x", ""):
        for operation in Operation:
            with pytest.raises(NotFoundError, match="^Run not found$"):
                guard.find_run(policy, None, run_id, operation)
    with pytest.raises(PermissionDenied, match="not yours"):
        guard.find_run(policy, None, str(mine.pk), Operation.DELETE)
    assert guard.may_read(policy, None, mine)
    assert not guard.may_read(policy, None, theirs)


def test_a_scope_that_was_not_returned_is_a_fault_and_lets_nobody_through() -> None:
    class Forgetful(Policy):
        def scope_runs(self, context: None, filter: RunFilter) -> None:
            filter.with_labels(owner="me")

    with pytest.raises(TypeError, match="must return a RunFilter, not None"):
        guard.scope_runs(Forgetful(), None, RunFilter())


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ValidationError("input: no", field="input"), 400, "input: no"),
        (SuspiciousOperation("/etc/passwd"), 400, "Bad request"),
        (UnreadablePostError("socket 5"), 400, "The body could not be read"),
        (NotAuthenticated(), 401, "Not authenticated"),
        (PermissionDenied(), 403, "Permission denied"),
        (PermissionDenied("Not today"), 403, "Not today"),
        (NotFoundError("Job not found: x"), 404, "Job not found: x"),
        (Http404("No Run matches the given query."), 404, "Not found"),
        (ConflictError("Run is still leased"), 409, "Run is still leased"),
        (RequestDataTooBig("settings.X"), 413, "The body is too large"),
    ],
)
def test_what_was_raised_is_answered(error: Exception, status: int, words: str) -> None:
    response = guard.answer_error(error, REQUEST)
    assert response.status_code == status
    assert response.content.decode() == f'{{"error":"{words}"}}'
    assert "WWW-Authenticate" not in response


def test_a_challenge_is_passed_on() -> None:
    response = guard.answer_error(NotAuthenticated(challenge="Bearer"), REQUEST)
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("origin", ["http://[", "", "null", "https://x.example"])
def test_no_origin_is_trusted_unless_the_settings_name_it(origin: str, settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = []
    assert not guard.is_trusted_origin(origin)
