"""`manage.py durably_health`: for a monitor, which looks at the exit status."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_durably import clock
from django_durably.storage import workers
from django_durably.storage.workers import WorkerInfo
from tests.storage.making import claim, leased, pending

pytestmark = pytest.mark.django_db


def health(*arguments: str) -> tuple[int, str]:
    """The exit status, and what was printed."""
    out = StringIO()
    try:
        call_command("durably_health", *arguments, stdout=out, stderr=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue().strip()
    return 0, out.getvalue().strip()


@pytest.fixture
def worker(db: None) -> None:
    workers.register(WorkerInfo("w1", "host", 1, 10, ("a",)))


def test_without_a_worker() -> None:
    assert health() == (1, "no worker is alive")


def test_with_a_worker_and_nothing_to_do(worker: None) -> None:
    assert health() == (0, "1 workers alive; oldest pending run: none is waiting")


def test_with_a_worker_that_is_silent_for_too_long(worker: None) -> None:
    with clock.shift(workers.silence_of_the_dead() * 2):
        assert health() == (1, "no worker is alive")


def test_with_a_run_that_waits_for_a_while(worker: None) -> None:
    pending()
    with clock.shift(timedelta(seconds=20)):
        status, text = health()
    assert status == 0
    assert text.startswith("1 workers alive; oldest pending run: 2")


def test_with_a_run_that_waits_for_too_long(worker: None) -> None:
    pending()
    with clock.shift(timedelta(seconds=20)):
        status, text = health("--max-wait", "10")
    assert status == 1
    assert text == "the oldest pending run has waited 20 s, longer than 10 s"


def test_with_everything_wrong() -> None:
    pending()
    with clock.shift(timedelta(seconds=90)):
        status, text = health()
    assert status == 1
    assert text.startswith("no worker is alive; the oldest pending run has waited 90 s")


def test_a_run_that_waits_for_its_key_is_no_alarm(worker: None) -> None:
    leased(concurrency_key="c")
    pending(concurrency_key="c")
    assert claim() == ()
    with clock.shift(timedelta(seconds=20)):
        assert health("--max-wait", "10")[0] == 0


def test_a_wrong_wait_is_refused_by_name() -> None:
    with pytest.raises(CommandError, match="--max-wait"):
        health("--max-wait", "long")
