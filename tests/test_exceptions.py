import pickle

import pytest

from django_durably import exceptions
from django_durably.exceptions import (
    CancelledError,
    ConflictError,
    DurablyError,
    HandedBack,
    LeaseLostError,
    NotFoundError,
    RunCancelled,
    RunFailed,
    ValidationError,
    WaitTimeout,
)

FOR_CALLERS = [NotFoundError, ValidationError, ConflictError, RunFailed, RunCancelled, WaitTimeout]
FOR_BODIES = [CancelledError, LeaseLostError, HandedBack]


@pytest.mark.parametrize("kind", FOR_CALLERS)
def test_errors_for_callers_are_ordinary_errors(kind: type[DurablyError]) -> None:
    error = kind("what went wrong")
    assert isinstance(error, DurablyError)
    assert isinstance(error, Exception)
    assert str(error) == error.message == "what went wrong"


@pytest.mark.parametrize("kind", FOR_BODIES)
def test_what_ends_a_body_passes_an_except_exception(kind: type[BaseException]) -> None:
    def body() -> str:
        try:
            raise kind("stop")
        except Exception:
            return "swallowed"

    with pytest.raises(kind, match="stop"):
        body()


def test_errors_survive_pickling_with_what_they_carry() -> None:
    refused = pickle.loads(pickle.dumps(ValidationError("input.a: no", field="input.a")))
    failed = pickle.loads(pickle.dumps(RunFailed("declined", run={"id": 1})))
    assert (refused.message, refused.field) == ("input.a: no", "input.a")
    assert (str(failed), failed.run) == ("declined", {"id": 1})


def test_every_error_says_when_it_is_raised() -> None:
    public = [value for name, value in vars(exceptions).items() if name[0].isupper()]
    assert {*FOR_CALLERS, *FOR_BODIES} <= {*public}
    assert all(kind.__doc__ for kind in [*FOR_CALLERS, *FOR_BODIES])
