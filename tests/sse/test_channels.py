"""Which events a channel wants, and what of them."""

from uuid import UUID

import pytest

from django_durably import clock
from django_durably.events import EventType
from django_durably.sse.channels import ListChannel, RunChannel
from django_durably.sse.envelopes import Envelope, seal
from django_durably.storage.cursors import Cursor
from django_durably.storage.events import RecordedEvent
from django_durably.storage.queries import RunFilter

RUN, OTHER = UUID(int=1), UUID(int=2)


def event(
    type_: str = "log:write", run_id: UUID = RUN, payload: dict[str, object] | None = None
) -> Envelope:
    recorded = RecordedEvent(
        7, run_id, "import", type_, payload or {}, {"org": "1", "a/b": "ä"}, clock.now()
    )
    return seal(recorded, Cursor(7))


@pytest.mark.parametrize("type_", EventType)
def test_a_run_s_channel_wants_its_events_but_not_those_of_lists(type_: EventType) -> None:
    only_in_lists = {"run:trigger", "run:coalesced"}
    assert RunChannel(RUN).wants(event(type_)) == (type_ not in only_in_lists)
    assert not RunChannel(OTHER).wants(event(type_))
    assert ListChannel(RunFilter()).wants(event(type_))


@pytest.mark.parametrize(
    ("filter", "wanted"),
    [
        (RunFilter().with_jobs("import"), True),
        (RunFilter().with_jobs("export"), False),
        (RunFilter().with_jobs("export", "import"), True),
        (RunFilter().with_jobs(), False),
        (RunFilter().with_labels(org="1"), True),
        (RunFilter().with_labels(**{"org": "1", "a/b": "ä"}), True),
        (RunFilter().with_labels(org="2"), False),
        (RunFilter().with_labels(org="1").with_labels(org="2"), False),
        (RunFilter().with_labels(tenant="1"), False),
    ],
)
def test_a_list_s_channel_wants_what_its_filter_matches(filter: RunFilter, wanted: bool) -> None:
    assert ListChannel(filter).wants(event()) == wanted


def test_channels_are_named_by_what_they_filter() -> None:
    assert str(RunChannel(RUN)) == "run:00000000-0000-0000-0000-000000000001"
    filter = RunFilter().with_jobs("b", "a").with_labels(**{"a/b": "ä"})
    assert str(ListChannel(filter)) == "runs?jobName=a&jobName=b&label.a%2Fb=%C3%A4"


def test_large_fields_are_left_out_of_lists_only() -> None:
    large, small = "ö" * 40_000, "ö" * 30_000
    sealed = event("run:complete", payload={"output": large, "duration": 3, "note": small})
    channel = ListChannel(RunFilter())
    assert large in sealed.text(RunChannel(RUN).brief)
    brief = sealed.text(channel.brief)
    assert '"output":null' in brief
    assert '"truncated":true' in brief
    assert '"duration":3' in brief
    assert small in brief


def test_a_small_event_is_the_same_for_both() -> None:
    sealed = event("run:complete", payload={"output": {"emoji": "🛫", "text": "a\nb\r\u2028"}})
    assert sealed.whole is sealed.brief
    assert "truncated" not in sealed.whole


def test_a_frame_has_one_line_of_data_whatever_is_in_it() -> None:
    sealed = event("log:write", payload={"message": "a\nb\rc\r\n\n\0", "data": None})
    frame = sealed.frame(brief=False, cursor=sealed.cursor)
    assert frame.count("\n") == 4
    assert frame.startswith("event: message\nid: 7\ndata: {")
    assert frame.endswith("}\n\n")


def test_a_frame_is_made_once_for_all_who_are_at_the_same_place() -> None:
    sealed = event()
    assert sealed.frame(False, sealed.cursor) is sealed.frame(False, sealed.cursor)
    assert "id: 9-8\n" in sealed.frame(False, Cursor(9, frozenset({8})))
