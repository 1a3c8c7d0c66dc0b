"""A cursor is a set of seen ids: what it says and does is compared with such a set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_durably.storage.cursors import MOST_WRITTEN, Cursor

MOST = 12
IDS = range(1, MOST + 2)


@st.composite
def cursors(draw: st.DrawFn) -> Cursor:
    highest = draw(st.integers(0, MOST))
    awaited = draw(st.sets(st.integers(1, highest - 1))) if highest > 1 else set()
    return Cursor(highest, frozenset(awaited))


def seen(cursor: Cursor) -> set[int]:
    return {id for id in IDS if cursor.has_seen(id)}


@given(cursors(), cursors())
def test_a_merged_cursor_has_seen_what_either_has(one: Cursor, other: Cursor) -> None:
    assert seen(one.merge(other)) == seen(one) | seen(other)
    assert one.merge(other) == other.merge(one)


@given(cursors(), cursors())
def test_one_covers_another_when_it_has_seen_all_that_the_other_has(
    one: Cursor, other: Cursor
) -> None:
    assert one.covers(other) == (seen(one) >= seen(other))


@given(cursors(), cursors(), st.integers(1, MOST))
def test_passing_an_event_adds_it_and_what_is_known_before_it(
    cursor: Cursor, known: Cursor, id: int
) -> None:
    before = {each for each in seen(known) if each <= id}
    expected = seen(cursor) | before | {id}
    if id <= known.highest or id <= cursor.highest:
        assert seen(cursor.passing(id, known)) == expected


@given(cursors())
def test_what_is_written_is_read_again(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


def test_it_is_written_as_the_highest_id_and_those_that_are_awaited() -> None:
    assert str(Cursor(105, frozenset({104, 103}))) == "105-103.104"
    assert str(Cursor(105)) == "105"


def test_only_the_newest_awaited_ids_are_written() -> None:
    cursor = Cursor.parse(str(Cursor(10_000, frozenset(range(1, 10_000)))))
    assert cursor == Cursor(10_000, frozenset(range(10_000 - MOST_WRITTEN, 10_000)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-1",
        "105-",
        "105-105",
        "105-0",
        "105-106",
        "105.104",
        "105-103..104",
        " 105",
        "105\n",
        "\u0661\u0660\u0665",
        "9" * 19,
        "1" * 100_000,
    ],
)
def test_anything_else_is_no_cursor(text: str) -> None:
    assert Cursor.parse(text) is None
