"""Waiting for the end of a run: what is answered, what is told on the way, when it gives up."""

from collections.abc import Callable, Iterator
from threading import Event
from time import monotonic
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django_durably import clock, wakeups
from django_durably.exceptions import NotFoundError, RunCancelled, RunFailed, WaitTimeout
from django_durably.models import LogEntry, Run
from django_durably.testing import run_until_idle
from tests.races.threads import PATIENCE, Background
from tests.storage.making import (
    completed,
    failed,
    leased,
    log,
    pending,
    progress,
    settle,
    stored,
)
from tests.support.waiting import eventually
from tests.testapp.jobs import add_in_steps, fail

Wait = Callable[..., Run]


@pytest.fixture(params=["wait", "await_result"])
def wait(request: pytest.FixtureRequest) -> Wait:
    """Both must behave the same."""
    return {"wait": Run.wait, "await_result": async_to_sync(Run.await_result)}[request.param]


@pytest.fixture(autouse=True)
def _no_listeners_left() -> Iterator[None]:
    yield
    wakeups.close_wakeups()


def wait_for_ever(wait: Wait, run: Run, looked: Event) -> None:
    """Waits again while the run is found between its end and its deletion."""
    end = monotonic() + PATIENCE
    while monotonic() < end:
        wait(run, timeout=PATIENCE, on_progress=lambda _: looked.set())


@pytest.mark.django_db
class TestARunThatHasEnded:
    def test_is_answered_as_it_is_now(self, wait: Wait) -> None:
        lease = leased()
        before = stored(lease)
        settle(completed(lease, {"n": 1}))
        run = wait(before)
        assert (run.pk, run.status, run.output) == (before.pk, "completed", {"n": 1})

    def test_failed(self, wait: Wait) -> None:
        lease = leased()
        settle(failed(lease, "boom 🦊"))
        with pytest.raises(RunFailed, match="^boom 🦊$") as raised:
            wait(stored(lease))
        assert (raised.value.run.pk, raised.value.run.status) == (lease.run_id, "failed")

    def test_cancelled(self, wait: Wait) -> None:
        run = pending()
        run.cancel()
        with pytest.raises(RunCancelled) as raised:
            wait(run)
        assert raised.value.run == run

    def test_gone(self, wait: Wait) -> None:
        with pytest.raises(NotFoundError, match="Run not found"):
            wait(Run(id=clock.uuid7()))

    def test_tells_its_last_progress_and_all_logs(self, wait: Wait) -> None:
        lease = leased()
        settle(progress(lease, 1), log(lease, "one"), progress(lease, 2), log(lease, "two", [2]))
        settle(completed(lease))
        seen: list[dict[str, Any]] = []
        entries: list[LogEntry] = []
        wait(stored(lease), on_progress=seen.append, on_log=entries.append)
        assert seen == [{"current": 2}]
        assert [(e.message, e.data) for e in entries] == [("one", None), ("two", [2])]


@pytest.mark.django_db
class TestTimeout:
    @pytest.mark.parametrize("timeout", [0, 0.05])
    def test_gives_up_and_the_run_goes_on(self, wait: Wait, timeout: float) -> None:
        run = pending()
        begun = monotonic()
        with pytest.raises(WaitTimeout, match="still pending") as raised:
            wait(run, timeout=timeout)
        assert timeout <= monotonic() - begun < 10
        assert raised.value.run == run
        assert stored(run).status == "pending"

    def test_does_not_matter_once_the_run_has_ended(self, wait: Wait) -> None:
        lease = leased()
        settle(completed(lease, 1))
        assert wait(stored(lease), timeout=0).output == 1


@pytest.mark.django_db(transaction=True)
class TestARunThatGoesOn:
    def test_is_followed_to_its_end(self, wait: Wait) -> None:
        """Each report is made only once the one before was heard of."""
        lease = leased()
        heard: list[Any] = []

        def until_heard(count: int) -> None:
            eventually(lambda: len(heard) == count, PATIENCE)

        def execute() -> None:
            for n in range(3):
                settle(progress(lease, n))
                until_heard(2 * n + 1)
                settle(log(lease, f"line {n}"))
                until_heard(2 * n + 2)
            settle(log(lease, "last words"), completed(lease, "done"))

        with Background(execute) as executing:
            run = wait(
                stored(lease),
                timeout=PATIENCE,
                on_progress=heard.append,
                on_log=lambda entry: heard.append(entry.message),
            )
            executing.go_on()
        assert run.output == "done"
        assert heard == [
            *({"current": 0}, "line 0"),
            *({"current": 1}, "line 1"),
            *({"current": 2}, "line 2"),
            "last words",
        ]

    def test_that_fails(self, wait: Wait) -> None:
        lease = leased()
        with Background(lambda: settle(failed(lease))), pytest.raises(RunFailed, match="boom"):
            wait(stored(lease), timeout=PATIENCE)

    def test_that_is_deleted_meanwhile(self, wait: Wait) -> None:
        lease = leased()
        looked = Event()

        def delete() -> None:
            assert looked.wait(PATIENCE)
            settle(completed(lease))
            stored(lease).delete()

        settle(progress(lease, 1))
        with Background(delete), pytest.raises(NotFoundError):
            wait_for_ever(wait, stored(lease), looked)

    def test_a_callback_that_raises_ends_the_waiting(self, wait: Wait) -> None:
        lease = leased()
        settle(progress(lease, 1))

        def refuse(_: object) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            wait(stored(lease), on_progress=refuse)


@pytest.mark.django_db(transaction=True)
class TestTriggerAndWait:
    @pytest.fixture(autouse=True)
    def _worker(self, transactional_db: None) -> Iterator[None]:
        def work() -> None:
            eventually(run_until_idle, PATIENCE, "nothing was triggered")

        with Background(work):
            yield

    @pytest.mark.parametrize("trigger", ["trigger_and_wait", "atrigger_and_wait"])
    def test_gives_the_output_of_the_jobs_type(self, trigger: str) -> None:
        call = getattr(add_in_steps, trigger)
        call = async_to_sync(call) if trigger.startswith("a") else call
        result = call([1, 2, 3], timeout=PATIENCE, idempotency_key="i")
        assert (result.output, result.disposition) == (6, "created")
        assert stored(result.id).output == 6
        again = call([9], timeout=PATIENCE, idempotency_key="i")
        assert (again.id, again.output, again.disposition) == (result.id, 6, "idempotent")

    def test_raises_what_waiting_raises(self) -> None:
        with pytest.raises(RunFailed, match="boom"):
            fail.trigger_and_wait("boom", timeout=PATIENCE)
