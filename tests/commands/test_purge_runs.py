"""`manage.py purge_runs`."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_durably.models import Run
from tests.storage.making import end_long_ago, enqueued, pending, request

pytestmark = pytest.mark.django_db


def purge(*arguments: str) -> str:
    out = StringIO()
    call_command("purge_runs", *arguments, stdout=out)
    return out.getvalue().strip()


@pytest.fixture(autouse=True)
def _runs(db: None) -> None:
    """Three old runs and an active one."""
    runs = enqueued(*[request("a", n) for n in range(3)])
    for n, run in enumerate(runs):
        end_long_ago(run, ago=timedelta(days=60 - n))
    pending("a", "waiting")


def test_deletes_old_runs_and_says_how_many() -> None:
    assert purge("--older-than", "30d") == "3 runs deleted"
    assert [run.input for run in Run.objects.all()] == ["waiting"]


def test_deletes_the_oldest_up_to_a_limit() -> None:
    assert purge("--older-than", "30d", "--limit", "2") == "2 runs deleted"
    assert {run.input for run in Run.objects.all()} == {2, "waiting"}


def test_leaves_younger_runs() -> None:
    assert purge("--older-than", "61d") == "0 runs deleted"
    assert purge("--older-than", "1436h") == "1 runs deleted"
    assert Run.objects.count() == 3


@pytest.mark.parametrize(("more", "count"), [((), 3), (("--limit", "2"), 2)])
def test_may_only_count_them(more: tuple[str, ...], count: int) -> None:
    assert purge("--older-than", "30d", "--dry-run", *more) == f"{count} runs would be deleted"
    assert Run.objects.count() == 4


@pytest.mark.parametrize("text", ["30", "d", "-1d", "0d", "a month", ""])
def test_a_wrong_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(CommandError, match="--older-than"):
        purge(f"--older-than={text}")
    assert Run.objects.count() == 4


def test_the_duration_must_be_given() -> None:
    with pytest.raises(CommandError, match="--older-than"):
        purge()


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_wrong_limit_is_refused_by_name(limit: str) -> None:
    with pytest.raises(CommandError, match="--limit"):
        purge("--older-than=30d", f"--limit={limit}")
    assert Run.objects.count() == 4
