"""Triggering: what is refused before anything is stored, and who hears of what was."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.dispatch import Signal

from django_durably import Job, signals
from django_durably.events import Event
from django_durably.exceptions import ConflictError, ValidationError
from django_durably.models import Event as Recorded
from django_durably.models import Run
from tests.testapp.jobs import add_in_steps, echo

pytestmark = pytest.mark.django_db

Capture = Callable[..., Any]


class Hearing:
    """Listens to a signal while it is entered."""

    def __init__(self, signal: Signal) -> None:
        self.events: list[Event] = []
        self._signal = signal

    def _hear(self, sender: object, event: Event, **more: object) -> None:
        self.events.append(event)

    def __enter__(self) -> "Hearing":
        self._signal.connect(self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        self._signal.disconnect(self._hear)


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "names"),
        [
            ({"idempotency_key": ""}, "idempotencyKey must have 1 to 255 characters"),
            ({"idempotency_key": "k" * 256}, "idempotencyKey must have 1 to 255 characters"),
            ({"idempotency_key": 7}, "idempotencyKey must be a string, not int"),
            ({"idempotency_key": "a\0b"}, "idempotencyKey .*U\\+0000"),
            ({"concurrency_key": ""}, "concurrencyKey must have 1 to 255 characters"),
            ({"concurrency_key": b"k"}, "concurrencyKey must be a string, not bytes"),
            ({"concurrency_key": "\ud800"}, "concurrencyKey .*U\\+D800"),
            ({"coalesce": "skip"}, "coalesce needs a concurrencyKey"),
            ({"coalesce": "merge", "concurrency_key": "c"}, "coalesce must be 'skip'"),
            ({"coalesce": True, "concurrency_key": "c"}, "coalesce must be 'skip'"),
            ({"labels": {"org": 1}}, "labels.org must be a string, not int"),
            ({"labels": {"o r g": "1"}}, "label key 'o r g'"),
            ({"labels": [("org", "1")]}, "labels must be an object"),
        ],
    )
    def test_name_the_field(self, options: dict[str, Any], names: str) -> None:
        with pytest.raises(ValidationError, match=names):
            echo.trigger({}, **options)
        assert Run.objects.count() == Recorded.objects.count() == 0

    @pytest.mark.parametrize("input", ["text", None, {"n": float("nan")}, {1: 2}])
    def test_of_the_input(self, input: Any) -> None:
        with pytest.raises(ValidationError, match="input"):
            echo.trigger(input)
        assert Run.objects.count() == 0

    def test_of_one_of_a_batch_create_none(self) -> None:
        with pytest.raises(ValidationError):
            add_in_steps.batch_trigger([[1], ["x"], [2]])  # type: ignore[list-item]
        assert Run.objects.count() == 0

    def test_the_longest_key_is_accepted(self) -> None:
        key = "🦊" * 255
        assert echo.trigger({}, idempotency_key=key).idempotency_key == key


class TestRuns:
    def test_what_is_stored_is_the_validated_input(self) -> None:
        assert add_in_steps.trigger([1, "2", 3.0]).input == [1, 2, 3]  # type: ignore[list-item]

    def test_dispositions(self) -> None:
        assert echo.trigger({}, idempotency_key="i").disposition == "created"
        assert echo.trigger({}, idempotency_key="i").disposition == "idempotent"
        assert echo.trigger({}, concurrency_key="c").disposition == "created"
        assert echo.trigger({}, concurrency_key="c", coalesce="skip").disposition == "coalesced"
        with pytest.raises(ConflictError):
            echo.trigger({}, concurrency_key="c")

    def test_a_batch_answers_in_its_order_with_options_for_each(self) -> None:
        runs = echo.batch_trigger(
            [
                {"n": 0},
                echo.item({"n": 1}, idempotency_key="i", labels={"org": "1"}),
                echo.item({"n": 2}, idempotency_key="i"),
                {"n": 3},
            ]
        )
        assert [run.input for run in runs] == [{"n": 0}, {"n": 1}, {"n": 1}, {"n": 3}]
        assert [run.disposition for run in runs] == ["created"] * 2 + ["idempotent", "created"]
        assert runs[1].labels == {"org": "1"}

    def test_an_empty_batch(self) -> None:
        assert echo.batch_trigger([]) == []

    def test_async_twins(self) -> None:
        one = async_to_sync(echo.atrigger)({"n": 1}, labels={"org": "1"})
        two = async_to_sync(echo.abatch_trigger)([{"n": 2}])
        assert {*Run.objects.all()} == {one, *two}


class TestWhoHears:
    def test_signals_are_sent_after_the_commit_and_carry_the_recorded_event(
        self, django_capture_on_commit_callbacks: Capture
    ) -> None:
        with (
            Hearing(signals.run_triggered) as hearing,
            django_capture_on_commit_callbacks(execute=True),
        ):
            run = echo.trigger({"n": 1}, labels={"org": "1"})
            assert hearing.events == []
        (event,) = hearing.events
        assert (event.run_id, event.job_name, event.labels) == (run.pk, "echo", {"org": "1"})
        assert event.payload == {"input": {"n": 1}}
        assert event.sequence == Recorded.objects.get().pk

    def test_nobody_hears_of_what_was_rolled_back(
        self, django_capture_on_commit_callbacks: Capture
    ) -> None:
        with (
            Hearing(signals.run_triggered) as hearing,
            django_capture_on_commit_callbacks(execute=True),
            transaction.atomic(),
        ):
            echo.trigger({})
            transaction.set_rollback(True)
        assert hearing.events == []

    def test_an_idempotent_trigger_sends_no_event(
        self, django_capture_on_commit_callbacks: Capture
    ) -> None:
        echo.trigger({}, idempotency_key="i")
        with (
            Hearing(signals.run_triggered) as hearing,
            django_capture_on_commit_callbacks(execute=True) as callbacks,
        ):
            echo.trigger({}, idempotency_key="i")
        assert (hearing.events, callbacks) == ([], [])

    def test_a_coalesced_trigger_says_what_was_skipped(
        self, django_capture_on_commit_callbacks: Capture
    ) -> None:
        kept = echo.trigger({"n": 1}, concurrency_key="c")
        with (
            Hearing(signals.run_coalesced) as hearing,
            django_capture_on_commit_callbacks(execute=True),
        ):
            echo.trigger({"n": 2}, concurrency_key="c", coalesce="skip", labels={"org": "1"})
        (event,) = hearing.events
        assert event.run_id == kept.pk
        assert event.payload == {"skippedInput": {"n": 2}, "skippedLabels": {"org": "1"}}

    def test_a_receiver_that_raises_hurts_nobody(
        self, django_capture_on_commit_callbacks: Capture, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(sender: object, **more: object) -> None:
            raise ZeroDivisionError

        signals.run_triggered.connect(fail)
        try:
            with (
                Hearing(signals.run_triggered) as hearing,
                django_capture_on_commit_callbacks(execute=True),
            ):
                echo.trigger({})
        finally:
            signals.run_triggered.disconnect(fail)
        assert len(hearing.events) == 1
        assert "fail" in caplog.text

    def test_a_batch_sends_one_event_for_each_new_run(
        self, django_capture_on_commit_callbacks: Capture
    ) -> None:
        with (
            Hearing(signals.run_triggered) as hearing,
            django_capture_on_commit_callbacks(execute=True),
        ):
            runs = echo.batch_trigger([{"n": n} for n in range(3)])
        assert [event.run_id for event in hearing.events] == [run.pk for run in runs]
        assert [event.sequence for event in hearing.events] == sorted(
            Recorded.objects.values_list("pk", flat=True)
        )


def test_a_job_is_found_by_its_handle() -> None:
    assert isinstance(echo, Job)
