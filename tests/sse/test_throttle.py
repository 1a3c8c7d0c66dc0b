"""Progress: the first at once, then the latest once per window, and the last in any case."""

from uuid import UUID

import pytest

from django_durably.sse.throttle import Throttle
from tests.sse.test_tracking import Clock

RUN, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle[str]:
    return Throttle(0.1, clock)


def test_the_first_goes_at_once_and_the_latest_when_the_window_ends(
    throttle: Throttle[str], clock: Clock
) -> None:
    assert throttle.offer(RUN, "1")
    assert not throttle.offer(RUN, "2")
    assert not throttle.offer(RUN, "3")
    assert throttle.due() == []
    assert throttle.due_in() == pytest.approx(0.1)
    clock.advance(0.1)
    assert throttle.due() == ["3"]
    assert throttle.due_in() is None


def test_what_was_held_opens_a_window_of_its_own(throttle: Throttle[str], clock: Clock) -> None:
    throttle.offer(RUN, "1")
    throttle.offer(RUN, "2")
    clock.advance(0.1)
    assert throttle.due() == ["2"]
    clock.advance(0.05)
    assert not throttle.offer(RUN, "3")
    clock.advance(0.06)
    assert throttle.due() == ["3"]


def test_after_a_quiet_window_the_next_goes_at_once(throttle: Throttle[str], clock: Clock) -> None:
    throttle.offer(RUN, "1")
    clock.advance(0.2)
    assert throttle.offer(RUN, "2")


def test_runs_do_not_hold_each_other_up(throttle: Throttle[str], clock: Clock) -> None:
    assert throttle.offer(RUN, "1")
    clock.advance(0.06)
    assert throttle.offer(OTHER, "a")
    throttle.offer(RUN, "2")
    throttle.offer(OTHER, "b")
    clock.advance(0.05)
    assert throttle.due() == ["2"]
    assert throttle.due_in() == pytest.approx(0.05)
    clock.advance(0.06)
    assert throttle.due() == ["b"]


def test_what_is_held_is_given_out_for_what_must_follow_it(throttle: Throttle[str]) -> None:
    throttle.offer(RUN, "1")
    throttle.offer(RUN, "2")
    assert throttle.release(RUN) == "2"
    assert throttle.release(RUN) is None
    assert throttle.due_in() is None


def test_a_late_tick_does_not_let_a_newer_one_overtake(
    throttle: Throttle[str], clock: Clock
) -> None:
    throttle.offer(RUN, "1")
    throttle.offer(RUN, "2")
    clock.advance(1)
    assert not throttle.offer(RUN, "3")
    assert throttle.due() == ["3"]


def test_windows_that_ended_are_forgotten(throttle: Throttle[str], clock: Clock) -> None:
    for number in range(100):
        throttle.offer(UUID(int=number), "1")
    clock.advance(0.1)
    throttle.due()
    assert not throttle._windows


def test_without_an_interval_everything_passes() -> None:
    throttle: Throttle[str] = Throttle(0)
    assert all(throttle.offer(RUN, str(number)) for number in range(5))
    assert throttle.due() == []
