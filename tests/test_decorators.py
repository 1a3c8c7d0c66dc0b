from collections.abc import Iterator
from datetime import date
from typing import Any, assert_type

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from pydantic import BaseModel

from django_durably import Job, Run, get_job, job
from django_durably.exceptions import (
    ConflictError,
    NotFoundError,
    RunCancelled,
    RunFailed,
    ValidationError,
    WaitTimeout,
)
from django_durably.jobs import registry


class Order(BaseModel):
    number: int
    day: date = date(2026, 1, 1)


class Receipt(BaseModel):
    total: int


@pytest.fixture(autouse=True)
def _isolated() -> Iterator[None]:
    with registry.isolated():
        yield


@pytest.fixture
def charge() -> Job[Order, Receipt]:
    @job("charge")
    def charge(step: Any, input: Order) -> Receipt:
        """Charge the customer."""
        return Receipt(total=input.number)

    return charge


@pytest.fixture
def tidy() -> Job[None, None]:
    @job
    def tidy(step: Any) -> None: ...

    return tidy


def finish(run: Run, status: str, **values: Any) -> None:
    Run.objects.filter(pk=run.pk).update(status=status, **values)


class TestDecorating:
    def test_a_job_takes_its_name_from_the_function(self, tidy: Job[None, None]) -> None:
        assert tidy.name == "tidy"
        assert registry.get("tidy").func is tidy.func

    def test_a_job_takes_the_name_it_is_given(self) -> None:
        @job("by-position")
        def first(step: Any) -> None: ...
        @job(name="by-keyword")
        def second(step: Any) -> None: ...
        @job()
        def third(step: Any) -> None: ...

        assert [first.name, second.name, third.name] == ["by-position", "by-keyword", "third"]

    def test_types_are_inferred_from_the_function(self, charge: Job[Order, Receipt]) -> None:
        @job
        def plain(step: Any, input: Order) -> Receipt: ...  # type: ignore[empty-body]
        @job("named")
        def named(step: Any, input: Order) -> Receipt: ...  # type: ignore[empty-body]
        @job
        async def asynchronous(step: Any, input: Order) -> Receipt: ...  # type: ignore[empty-body]
        @job("a-named")
        async def async_named(step: Any, input: Order) -> Receipt: ...  # type: ignore[empty-body]
        @job
        def without_input(step: Any) -> int: ...  # type: ignore[empty-body]
        @job
        async def async_without_input(step: Any) -> int: ...  # type: ignore[empty-body]

        for handle in (
            assert_type(plain, Job[Order, Receipt]),
            assert_type(named, Job[Order, Receipt]),
            assert_type(asynchronous, Job[Order, Receipt]),
            assert_type(async_named, Job[Order, Receipt]),
        ):
            assert handle.definition.input.validate({"number": 1}) == Order(number=1)
        for bare in (
            assert_type(without_input, Job[None, int]),
            assert_type(async_without_input, Job[None, int]),
        ):
            assert not bare.definition.takes_input

    def test_local_classes_may_be_named_in_text(self) -> None:
        class Local(BaseModel):
            number: int

        @job
        def direct(step: Any, input: "Local") -> "list[Local]": ...  # type: ignore[empty-body]
        @job("local-too")
        def named(step: Any, input: "Local") -> None: ...

        assert direct.definition.input.validate({"number": 1}) == Local(number=1)
        assert direct.definition.output.validate([{"number": 1}]) == [Local(number=1)]
        assert named.definition.input.validate({"number": 1}) == Local(number=1)

    def test_a_job_is_no_function(self, charge: Job[Order, Receipt]) -> None:
        expected = (
            r"The job 'charge' cannot be called: charge\.trigger\(\.\.\.\) makes a run of it, "
            r"charge\.func\(step, \.\.\.\) calls its function\."
        )
        with pytest.raises(TypeError, match=expected):
            charge(None, Order(number=1))

    def test_its_function_can_be_called_in_tests(self, charge: Job[Order, Receipt]) -> None:
        assert charge.func(None, Order(number=3)) == Receipt(total=3)

    def test_a_job_shows_what_it_is(self, charge: Job[Order, Receipt]) -> None:
        assert repr(charge) == "<Job 'charge'>"
        assert charge.__doc__ == "Charge the customer."

    def test_a_job_is_not_made_twice(self, charge: Any) -> None:
        with pytest.raises(ImproperlyConfigured, match="<Job 'charge'> is a job already"):
            job(charge)

    def test_a_second_job_of_a_name_is_refused(self, charge: Job[Order, Receipt]) -> None:
        with pytest.raises(ImproperlyConfigured, match="Two jobs are named 'charge'"):

            @job("charge")
            def other(step: Any) -> None: ...


class TestFinding:
    def test_a_job_is_found_by_name(self, charge: Job[Order, Receipt]) -> None:
        assert get_job("charge") is charge

    def test_an_unknown_job_is_not_found(self) -> None:
        with pytest.raises(NotFoundError, match="Job not found: nowhere"):
            get_job("nowhere")

    def test_a_job_made_anew_is_found(self) -> None:
        handles = []
        for _ in range(2):

            @job("again")
            def again(step: Any) -> None: ...

            handles.append(again)
        assert get_job("again") is handles[1] is not handles[0]


@pytest.mark.django_db
class TestTriggering:
    @pytest.mark.parametrize("given", [{"number": "7"}, Order(number=7)])
    def test_the_validated_input_is_stored(
        self, charge: Job[Order, Receipt], given: Order | dict[str, Any]
    ) -> None:
        run = charge.trigger(given)
        assert run.disposition == "created"
        stored = Run.objects.get(pk=run.pk)
        assert (stored.job_name, stored.status) == ("charge", "pending")
        assert stored.input == {"number": 7, "day": "2026-01-01"}

    def test_a_job_without_input_needs_none(self, tidy: Job[None, None]) -> None:
        assert Run.objects.get(pk=tidy.trigger().pk).input == {}

    def test_options_are_stored(self, charge: Job[Order, Receipt]) -> None:
        run = charge.trigger(
            {"number": 1}, idempotency_key="webhook", concurrency_key="org", labels={"org": "1"}
        )
        stored = Run.objects.with_labels(org="1").get()
        assert stored.pk == run.pk
        assert (stored.idempotency_key, stored.concurrency_key) == ("webhook", "org")

    def test_dispositions_tell_how_a_run_was_got(self, charge: Job[Order, Receipt]) -> None:
        first = charge.trigger({"number": 1}, idempotency_key="i", concurrency_key="c")
        same = charge.trigger({"number": 2}, idempotency_key="i")
        joined = charge.trigger({"number": 3}, concurrency_key="c", coalesce="skip")
        assert [run.disposition for run in (first, same, joined)] == [
            "created",
            "idempotent",
            "coalesced",
        ]
        assert first.pk == same.pk == joined.pk
        with pytest.raises(ConflictError):
            charge.trigger({"number": 4}, concurrency_key="c")

    @pytest.mark.parametrize(
        ("given", "options", "message"),
        [
            ({}, {}, r"input\.number: Field required"),
            (None, {}, "input: Input should be"),
            ({"number": 1}, {"labels": {"a b": "1"}}, "label key 'a b'"),
            ({"number": 1}, {"coalesce": "skip"}, "coalesce"),
            ({"number": 1}, {"idempotency_key": ""}, "idempotencyKey"),
        ],
    )
    def test_what_does_not_validate_makes_no_run(
        self, charge: Job[Order, Receipt], given: Any, options: Any, message: str
    ) -> None:
        with pytest.raises(ValidationError, match=message):
            charge.trigger(given, **options)
        assert not Run.objects.exists()

    def test_an_unknown_option_is_refused(self, charge: Job[Order, Receipt]) -> None:
        with pytest.raises(TypeError, match="idempotence_key"):
            charge.trigger({"number": 1}, idempotence_key="x")  # type: ignore[call-arg]

    def test_a_batch_mixes_inputs_and_items(self, charge: Job[Order, Receipt]) -> None:
        runs = charge.batch_trigger(
            [{"number": 1}, Order(number=2), charge.item({"number": 3}, labels={"org": "1"})]
        )
        stored = [Run.objects.get(pk=run.pk) for run in runs]
        assert [(run.input or {})["number"] for run in stored] == [1, 2, 3]
        assert [run.labels for run in stored] == [{}, {}, {"org": "1"}]

    def test_a_batch_makes_all_runs_or_none(self, charge: Job[Order, Receipt]) -> None:
        with pytest.raises(ValidationError, match=r"input\.number"):
            charge.batch_trigger([{"number": 1}, {"number": "x"}])
        assert not Run.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestWaiting:
    def completed(self, charge: Job[Order, Receipt]) -> Run:
        run = charge.trigger({"number": 1}, idempotency_key="once")
        finish(run, "completed", output={"total": 5})
        return run

    def test_the_result_has_the_type_of_the_output(self, charge: Job[Order, Receipt]) -> None:
        run = self.completed(charge)
        result = charge.trigger_and_wait({"number": 1}, idempotency_key="once", timeout=5)
        assert assert_type(result.output, Receipt) == Receipt(total=5)
        assert (result.id, result.disposition) == (run.pk, "idempotent")

    @pytest.mark.parametrize(
        ("status", "error"), [("failed", RunFailed), ("cancelled", RunCancelled)]
    )
    def test_a_run_that_did_not_complete_raises(
        self, charge: Job[Order, Receipt], status: str, error: type[Exception]
    ) -> None:
        run = charge.trigger({"number": 1}, idempotency_key="once")
        finish(run, status, error="declined")
        with pytest.raises(error) as caught:
            charge.trigger_and_wait({"number": 1}, idempotency_key="once", timeout=5)
        assert caught.value.run.pk == run.pk  # type: ignore[attr-defined]

    def test_waiting_has_a_limit(self, charge: Job[Order, Receipt]) -> None:
        with pytest.raises(WaitTimeout):
            charge.trigger_and_wait({"number": 1}, timeout=0.05)
        assert Run.objects.get().status == "pending"

    def test_a_rolled_back_trigger_leaves_no_run(self, charge: Job[Order, Receipt]) -> None:
        with transaction.atomic():
            charge.trigger({"number": 1})
            transaction.set_rollback(True)
        assert not Run.objects.exists()

    def test_async_code_has_a_twin_of_every_call(self, charge: Job[Order, Receipt]) -> None:
        self.completed(charge)

        async def scenario() -> tuple[Run, list[Run], Receipt]:
            run = await charge.atrigger({"number": 2}, labels={"org": "1"})
            runs = await charge.abatch_trigger([{"number": 3}, charge.item({"number": 4})])
            result = await charge.atrigger_and_wait(
                {"number": 1}, idempotency_key="once", timeout=5
            )
            return run, runs, result.output

        run, runs, output = async_to_sync(scenario)()
        assert run.disposition == "created"
        inputs = [Run.objects.get(pk=each.pk).input or {} for each in [run, *runs]]
        assert [each["number"] for each in inputs] == [2, 3, 4]
        assert output == Receipt(total=5)
