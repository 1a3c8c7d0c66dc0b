"""The run list: filters, search, pages."""

from datetime import datetime, timedelta

import pytest
from django.test import Client

from django_durably import Run, clock
from django_durably.admin import listing
from django_durably.testing import run_job
from tests.admin.addresses import RUNS, listed
from tests.storage.making import claim, pending
from tests.testapp.jobs import add_in_steps, echo, fail


def found(admin: Client, query: str) -> set[Run]:
    return set(listed(admin.get(f"{RUNS}?{query}")))


def triggered(at: datetime) -> Run:
    """A run of that time; those of one process never go back in time by themselves."""
    return Run.objects.create(pk=listing.first_id_of(at), job_name="echo", created_at=at)


def test_shows_the_newest_first(admin: Client) -> None:
    first, second = echo.trigger({}), echo.trigger({})
    assert listed(admin.get(RUNS)) == [second, first]


def test_filters_by_status(admin: Client) -> None:
    waiting, failed = echo.trigger({}), run_job(fail, "x")
    done = run_job(add_in_steps, [1])
    assert found(admin, "status=pending") == {waiting}
    assert found(admin, "status=failed") == {failed}
    assert found(admin, "status=completed") == {done}
    assert found(admin, "status=leased") == set()


def test_a_blocked_run_is_pending_too(admin: Client) -> None:
    holder, waiting = pending(concurrency_key="k"), None
    assert claim()[0].lease.run_id == holder.pk
    waiting = pending(concurrency_key="k")
    assert claim() == ()
    assert Run.objects.get(pk=waiting.pk).blocked
    assert found(admin, "status=pending") == {waiting}
    assert found(admin, "status=leased") == {holder}


def test_filters_by_job_label_and_worker(admin: Client) -> None:
    labelled = echo.trigger({}, labels={"org": "1"})
    other = run_job(fail, "x", labels={"org": "2"})
    leased = pending()
    claim(owner="worker-7")
    assert found(admin, "job=echo") == {labelled}
    assert found(admin, "label=org%3D2") == {other}
    assert found(admin, "worker=worker-7") == {leased}


def test_filters_by_date_in_the_current_time_zone(admin: Client) -> None:
    old = triggered(clock.now() - timedelta(days=3))
    new = echo.trigger({})
    yesterday = (clock.now() - timedelta(days=1)).date().isoformat()
    assert found(admin, f"until={yesterday}") == {old}
    assert found(admin, f"since={yesterday}") == {new}


def test_says_what_is_wrong_with_a_filter(admin: Client) -> None:
    echo.trigger({})
    assert b"Write a label as key=value." in admin.get(f"{RUNS}?label=org").content
    assert b"Enter a valid date." in admin.get(f"{RUNS}?since=yesterday").content


@pytest.mark.parametrize("text", ["order-1", "timed out", "acme", "org=acme"])
def test_searches_keys_errors_and_labels(admin: Client, text: str) -> None:
    run = run_job(fail, "it timed out", idempotency_key="order-1", labels={"org": "acme"})
    run_job(fail, "it broke", idempotency_key="order-2", labels={"org": "bigco"})
    answer = admin.get(RUNS, {"q": text})
    assert listed(answer) == [run]
    assert b"newest 10,000 failed runs" in answer.content


def test_searches_ids_by_their_beginning(admin: Client) -> None:
    run = triggered(clock.now() - timedelta(hours=1))
    echo.trigger({})
    assert listed(admin.get(RUNS, {"q": str(run.pk)})) == [run]
    assert listed(admin.get(RUNS, {"q": str(run.pk)[:11]})) == [run]


def test_the_search_of_errors_ends_at_the_newest_failures(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SEARCHED_FAILURES", 2)
    runs = [run_job(fail, "timed out") for _ in range(3)]
    assert found(admin, "q=timed+out") == set(runs[1:])


@pytest.mark.parametrize("text", ["\0", "%", "'", "=", "x" * 500, "zz-zz", "{}"])
def test_survives_any_search(admin: Client, text: str) -> None:
    echo.trigger({})
    assert admin.get(RUNS, {"q": text}).status_code == 200


def test_pages_go_there_and_back(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    runs = [echo.trigger({}) for _ in range(5)][::-1]
    first = admin.get(f"{RUNS}?job=echo")
    assert (listed(first), first.context["listing"].newer) == (runs[:2], "")
    second = admin.get(RUNS + first.context["listing"].older)
    assert listed(second) == runs[2:4]
    third = admin.get(RUNS + second.context["listing"].older)
    assert (listed(third), third.context["listing"].older) == (runs[4:], "")
    back = admin.get(RUNS + third.context["listing"].newer)
    assert listed(back) == runs[2:4]
    again = admin.get(RUNS + back.context["listing"].newer)
    assert (listed(again), again.context["listing"].newer) == (runs[:2], "")


def test_counts_are_capped(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "COUNT_UP_TO", 2)
    for _ in range(3):
        echo.trigger({})
    assert listing.count_by_status(listing.runs())["pending"] == 2


def test_the_empty_list_says_so(admin: Client) -> None:
    assert b"Nothing has run yet." in admin.get(RUNS).content
    assert b"No run matches these filters." in admin.get(f"{RUNS}?status=failed").content
