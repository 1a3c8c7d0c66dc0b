"""`step.signal`: why a body should stop."""

import threading

import pytest

from django_durably.exceptions import CancelledError, HandedBack, LeaseLostError
from django_durably.runtime.interruption import CANCELLED, LEASE_LOST, SHUTDOWN, Signal
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    ("reason", "aborted", "error"),
    [
        (CANCELLED, True, CancelledError),
        (LEASE_LOST, True, LeaseLostError),
        (SHUTDOWN, False, HandedBack),
    ],
)
def test_each_reason(reason: str, aborted: bool, error: type[BaseException]) -> None:
    signal = Signal()
    assert (signal.reason, signal.aborted, signal.error()) == (None, False, None)
    signal.raise_(reason)
    assert (signal.reason, signal.aborted) == (reason, aborted)
    assert isinstance(signal.error(), error)
    assert signal.wait(0)


@pytest.mark.parametrize("first", [CANCELLED, LEASE_LOST])
@pytest.mark.parametrize("second", [CANCELLED, LEASE_LOST, SHUTDOWN])
def test_the_first_abort_stays(first: str, second: str) -> None:
    signal = Signal()
    signal.raise_(first)
    signal.raise_(second)
    assert signal.reason == first


def test_an_abort_replaces_a_shutdown() -> None:
    signal = Signal()
    signal.raise_(SHUTDOWN)
    signal.raise_(SHUTDOWN)
    signal.raise_(CANCELLED)
    assert (signal.reason, signal.aborted) == (CANCELLED, True)


def test_listeners_hear_each_reason_until_they_are_forgotten() -> None:
    signal, heard = Signal(), []
    forget = signal.notify(lambda: heard.append(signal.reason))
    signal.raise_(SHUTDOWN)
    signal.raise_(LEASE_LOST)
    forget()
    signal.raise_(CANCELLED)
    assert heard == [SHUTDOWN, LEASE_LOST]


def test_a_late_listener_hears_at_once() -> None:
    signal, heard = Signal(), []
    signal.raise_(SHUTDOWN)
    signal.notify(lambda: heard.append(signal.reason))
    assert heard == [SHUTDOWN]


def test_waiting_ends_with_a_reason() -> None:
    signal, answers = Signal(), []
    assert signal.wait(0) is False
    thread = threading.Thread(target=lambda: answers.append(signal.wait(20)))
    thread.start()
    signal.raise_(CANCELLED)
    eventually(lambda: answers == [True])
    thread.join()
