"""What is read from a query string."""

import pytest
from django.http import QueryDict

from django_durably import parameters
from django_durably.exceptions import ValidationError
from django_durably.storage.queries import RunFilter


def test_nothing_means_everything() -> None:
    assert parameters.run_filter(QueryDict(""), by_status=True) == RunFilter()
    assert parameters.page(QueryDict("")).rows == slice(0, 100)


def test_jobs_statuses_and_labels() -> None:
    query = QueryDict("jobName=a&jobName=b&status=pending&label.x=1&label.y/z=%C3%A9&other=1")
    assert parameters.run_filter(query, by_status=True) == RunFilter(
        job_names=frozenset({"a", "b"}),
        statuses=frozenset({"pending"}),
        labels=frozenset({("x", "1"), ("y/z", "é")}),
    )


def test_streams_take_no_status() -> None:
    filter = parameters.run_filter(QueryDict("status=nonsense"), by_status=False)
    assert filter == RunFilter()


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("limit=5", slice(0, 5)),
        ("limit=0005&offset=007", slice(7, 12)),
        ("limit=0", slice(0, 0)),
        ("limit=1001", slice(0, 1000)),
        (f"limit={'9' * 400}", slice(0, 1000)),
        (f"limit=1&offset={'9' * 400}", slice(2**62, 2**62 + 1)),
    ],
)
def test_pages(query: str, rows: slice) -> None:
    assert parameters.page(QueryDict(query)).rows == rows


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "x", " 1", "²", "1_000", "0x1"])
def test_what_is_no_number_is_refused_by_name(text: str) -> None:
    query = QueryDict(mutable=True)
    query["after"] = text
    with pytest.raises(ValidationError, match="after must be a non-negative integer") as error:
        parameters.whole_number(query, "after", 0)
    assert error.value.field == "after"
