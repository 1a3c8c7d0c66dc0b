"""Filters of runs: what matches in Python matches in the database, and narrowing never widens."""

from itertools import product

import pytest

from django_durably import Run, get_job
from django_durably.storage.queries import RunFilter

EVERYTHING = RunFilter()
FILTERS = [
    EVERYTHING,
    EVERYTHING.with_jobs("echo"),
    EVERYTHING.with_jobs("echo", "fail"),
    EVERYTHING.with_jobs(),
    EVERYTHING.with_jobs("echo").with_jobs("fail"),
    EVERYTHING.with_jobs("echo\0"),
    EVERYTHING.with_statuses("pending"),
    EVERYTHING.with_statuses("cancelled", "failed"),
    EVERYTHING.with_statuses("pending").with_statuses("failed"),
    EVERYTHING.with_labels(a="1"),
    EVERYTHING.with_labels(a="1", b="1"),
    EVERYTHING.with_labels(a="1").with_labels(a="2"),
    EVERYTHING.with_labels(a="1\0"),
    EVERYTHING.with_labels(a=""),
    EVERYTHING.with_labels(a="É"),
    EVERYTHING.with_labels(a="1").with_jobs("fail").with_statuses("pending"),
]


def make_runs() -> list[Run]:
    labels = [{}, {"a": "1"}, {"a": "1", "b": "1"}, {"a": "2", "b": "1"}, {"a": "É"}, {"a": "é "}]
    runs = [
        get_job(job).trigger(input, labels=its)
        for (job, input), its in product([("echo", {}), ("fail", "x")], labels)
    ]
    for run in runs[::3]:
        run.cancel()
    return runs


@pytest.mark.django_db
@pytest.mark.parametrize("filter", FILTERS, ids=str)
def test_the_database_and_python_agree(filter: RunFilter) -> None:
    expected = {
        run.pk for run in make_runs() if filter.matches(run.job_name, run.labels, run.status)
    }
    found = [run.pk for run in filter.apply(Run.objects.all())]
    assert (set(found), len(found)) == (expected, len(expected))


@pytest.mark.parametrize(("one", "other"), list(product(FILTERS, FILTERS)))
def test_narrowing_never_widens(one: RunFilter, other: RunFilter) -> None:
    both = one.with_labels(**dict(other.labels))
    if other.job_names is not None:
        both = both.with_jobs(*other.job_names)
    for job, labels in product(("echo", "fail"), ({}, {"a": "1"}, {"a": "2"}, {"a": ""})):
        assert not both.matches(job, labels, "pending") or one.matches(job, labels, "pending")


def test_two_values_of_one_label_match_nothing() -> None:
    filter = EVERYTHING.with_labels(org="1").with_labels(org="2")
    assert not any(filter.matches("echo", {"org": org}) for org in ("1", "2"))


def test_a_filter_by_status_matches_no_event() -> None:
    """An event does not tell its run's status: what cannot be known must not be shown."""
    assert EVERYTHING.matches("echo", {})
    assert not EVERYTHING.with_statuses("pending").matches("echo", {})


def test_equal_filters_are_one_channel() -> None:
    one = EVERYTHING.with_jobs("a", "b").with_labels(x="1", y="2")
    other = EVERYTHING.with_labels(y="2").with_jobs("b", "a").with_labels(x="1")
    assert {one, other} == {one}
