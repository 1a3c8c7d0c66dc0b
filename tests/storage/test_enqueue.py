"""New runs: who is created, who is answered with an earlier run, and what is stored."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from django_durably.exceptions import ConflictError
from django_durably.models import Event, Run, RunLabel
from django_durably.storage import database, enqueue, transitions
from tests.storage.making import (
    completed,
    enqueued,
    event_types,
    handed_back,
    ids,
    leased,
    pending,
    request,
    settle,
    stored,
    take,
)

pytestmark = pytest.mark.django_db


def dispositions(runs: list[Run]) -> list[str]:
    return [run.disposition for run in runs]


def test_a_new_run_is_pending_and_as_the_database_has_it() -> None:
    made = pending("a", {"n": 1}, labels={"org": "1"}, idempotency_key="i", concurrency_key="c")
    fresh = stored(made)
    for name in ("job_name", "status", "input", "labels", "idempotency_key", "concurrency_key"):
        assert getattr(made, name) == getattr(fresh, name), name
    assert (made.disposition, fresh.status, fresh.blocked) == ("created", "pending", False)
    assert (fresh.lease_generation, fresh.crashes, fresh.started_at) == (0, 0, None)
    assert fresh.created_at == fresh.updated_at == made.created_at


def test_the_returned_instance_belongs_to_its_database() -> None:
    made = pending()
    assert not made._state.adding
    assert made._state.db == database.connection().alias
    made.triggered_by = "somebody"
    made.save(update_fields=["triggered_by"])
    assert stored(made).triggered_by == "somebody"
    assert made.steps.count() == 0


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        False,
        "",
        [],
        {},
        1.5,
        10**15,
        "null",
        '"quoted" \\ back',
        "🦊 żółć \u2028 %s {} ? $1",
        {"deep": [{"🦊": [None, True, "x"]}]},
        "x" * 100_000,
        list(range(10_000)),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_input_comes_back_as_it_was(value: Any) -> None:
    made = pending("a", value)
    assert made.input == value
    assert type(stored(made).input) is type(value)
    assert stored(made).input == value
    recorded = Event.objects.get(run_id=made.pk).payload
    assert recorded == {"input": value}


def test_labels_are_stored_on_the_run_and_in_rows() -> None:
    labels = {"org": "1", "a/b.c-d_e": "", "emoji": "🦊"}
    made = pending(labels=labels)
    assert stored(made).labels == labels
    rows = RunLabel.objects.filter(run_id=made.pk).values_list("key", "value")
    assert dict(rows) == labels


def test_a_trigger_is_recorded_as_an_event() -> None:
    made = pending("a", [1], labels={"org": "1"})
    recorded = Event.objects.get(run_id=made.pk)
    assert (recorded.type, recorded.job_name) == ("run:trigger", "a")
    assert (recorded.payload, recorded.labels) == ({"input": [1]}, {"org": "1"})


def test_event_ids_belong_to_their_drafts() -> None:
    pending("a", "old", idempotency_key="old")
    requests = [request("a", n, idempotency_key=f"{5 - n}", labels={"n": f"{n}"}) for n in range(5)]
    result = enqueue.enqueue([request("a", idempotency_key="old"), *requests])
    told = {
        event.pk: event.payload["input"] for event in Event.objects.filter(pk__in=result.event_ids)
    }
    assert [told[id_] for id_ in result.event_ids] == [0, 1, 2, 3, 4]
    assert [draft.run_id for draft in result.drafts] == ids(list(result.runs[1:]))


def test_later_runs_have_greater_ids() -> None:
    made = ids(enqueued(*[request("a", n) for n in range(50)]))
    assert made == sorted(made)
    assert [run.input for run in Run.objects.order_by("id")] == list(range(50))


class TestIdempotencyKey:
    def test_a_second_trigger_answers_with_the_first_run(self) -> None:
        first = pending("a", 1, idempotency_key="i")
        second = pending("a", 2, idempotency_key="i")
        assert (second.pk, second.input, second.disposition) == (first.pk, 1, "idempotent")
        assert event_types(first) == ["run:trigger"]

    def test_holds_whatever_became_of_the_first_run(self) -> None:
        lease = leased(idempotency_key="i")
        assert pending(idempotency_key="i").pk == lease.run_id
        settle(completed(lease, 7))
        again = pending(idempotency_key="i")
        assert (again.pk, again.status, again.output) == (lease.run_id, "completed", 7)

    def test_is_of_one_job(self) -> None:
        first = pending("a", idempotency_key="i")
        other = pending("b", idempotency_key="i")
        assert (other.disposition, other.pk != first.pk) == ("created", True)

    def test_goes_before_the_concurrency_key(self) -> None:
        first = pending(idempotency_key="i", concurrency_key="c")
        again = pending(idempotency_key="i", concurrency_key="c")
        assert (again.pk, again.disposition) == (first.pk, "idempotent")


class TestConcurrencyKey:
    def test_a_second_waiting_run_of_the_job_is_refused(self) -> None:
        first = pending(concurrency_key="c")
        with pytest.raises(ConflictError, match="'c'"):
            pending(concurrency_key="c")
        assert [*Run.objects.all()] == [first]

    def test_coalesce_answers_with_the_waiting_run_and_says_so(self) -> None:
        first = pending("a", 1, labels={"n": "1"}, concurrency_key="c")
        second = pending("a", 2, labels={"n": "2"}, concurrency_key="c", coalesce=True)
        assert (second.pk, second.input, second.disposition) == (first.pk, 1, "coalesced")
        recorded = Event.objects.get(type="run:coalesced")
        assert recorded.payload == {"skippedInput": 2, "skippedLabels": {"n": "2"}}
        assert (recorded.run_id, recorded.labels) == (first.pk, {"n": "1"})

    def test_a_leased_run_does_not_stand_in_the_way(self) -> None:
        lease = leased(concurrency_key="c")
        waiting = pending(concurrency_key="c", coalesce=True)
        assert (waiting.disposition, waiting.pk != lease.run_id) == ("created", True)

    def test_a_run_that_came_back_does_not_stand_in_the_way(self) -> None:
        lease = leased(concurrency_key="c")
        settle(handed_back(lease))
        waiting = pending(concurrency_key="c")
        assert waiting.disposition == "created"
        assert pending(concurrency_key="c", coalesce=True).pk == waiting.pk

    def test_a_run_of_another_job_does_not_stand_in_the_way(self) -> None:
        pending("a", concurrency_key="c")
        assert pending("b", concurrency_key="c").disposition == "created"


class TestBatch:
    def test_answers_in_the_order_of_the_requests(self) -> None:
        old = pending("a", "old", idempotency_key="z")
        runs = enqueued(
            request("a", 0, idempotency_key="y"),
            request("a", 1, idempotency_key="z"),
            request("b", 2),
            request("a", 3, idempotency_key="x"),
        )
        assert [run.input for run in runs] == [0, "old", 2, 3]
        assert dispositions(runs) == ["created", "idempotent", "created", "created"]
        assert runs[1].pk == old.pk

    def test_may_be_empty(self) -> None:
        result = enqueue.enqueue([])
        assert (result.runs, result.drafts, result.event_ids) == ((), (), ())

    def test_may_be_larger_than_a_statement(self) -> None:
        requests = [
            request("a", n, idempotency_key=str(n), labels={"n": str(n)}) for n in range(1100)
        ]
        assert set(dispositions(enqueued(*requests))) == {"created"}
        assert [run.input for run in Run.objects.order_by("id")] == list(range(1100))
        assert RunLabel.objects.count() == 1100
        again = enqueued(*requests[:20])
        assert dispositions(again) == ["idempotent"] * 20

    def test_duplicates_are_answered_with_the_first_of_them(self) -> None:
        runs = enqueued(*[request("a", n, idempotency_key="i") for n in range(30)])
        assert dispositions(runs) == ["created"] + ["idempotent"] * 29
        assert {run.pk for run in runs} == {runs[0].pk}
        assert stored(runs[0]).input == 0

    def test_the_first_of_duplicates_wins_whatever_their_other_keys(self) -> None:
        runs = enqueued(
            request("a", 0, idempotency_key="i", concurrency_key="z"),
            request("a", 1, idempotency_key="i", concurrency_key="y"),
        )
        assert dispositions(runs) == ["created", "idempotent"]
        assert stored(runs[0]).input == 0

    def test_a_later_one_coalesces_with_an_earlier_one(self) -> None:
        runs = enqueued(
            request("a", 0, idempotency_key="z", concurrency_key="c"),
            request("a", 1, idempotency_key="y", concurrency_key="c", coalesce=True),
        )
        assert dispositions(runs) == ["created", "coalesced"]
        assert Event.objects.get(type="run:coalesced").payload["skippedInput"] == 1

    def test_a_later_one_conflicts_with_an_earlier_one_and_nothing_is_created(self) -> None:
        with pytest.raises(ConflictError, match="'c'"):
            enqueued(
                request("b"), request("a", concurrency_key="c"), request("a", concurrency_key="c")
            )
        assert (Run.objects.count(), Event.objects.count()) == (0, 0)

    def test_a_long_chain_of_shared_keys(self) -> None:
        """Each request shares a key with the one before, whose answer frees it for the next."""
        pending("a", "old", idempotency_key="0")
        chain = [request("a", 0, idempotency_key="0", concurrency_key="0")]
        for n in range(1, 40):
            i, c = str((n + 1) // 2), str(n // 2)
            chain.append(request("a", n, idempotency_key=i, concurrency_key=c))
        runs = enqueued(*chain)
        assert dispositions(runs) == ["idempotent", *["created", "idempotent"] * 19, "created"]

    def test_a_key_freed_by_an_idempotent_answer_goes_to_the_next(self) -> None:
        """The first request asks for the key but is answered with an older run that has none."""
        old = pending("a", "old", idempotency_key="i")
        runs = enqueued(
            request("a", 0, idempotency_key="i", concurrency_key="c"),
            request("a", 1, concurrency_key="c"),
        )
        assert dispositions(runs) == ["idempotent", "created"]
        assert runs[0].pk == old.pk


class TestVanishedWinner:
    """A run that stood in the way is gone, or leased, when the loser looks for it."""

    def test_cancelled_meanwhile(self) -> None:
        old = pending("a", 1, concurrency_key="c")
        with once_before_looking_for_the_winner(lambda: transitions.cancel(old.pk)):
            new = pending("a", 2, concurrency_key="c")
        assert (new.disposition, stored(new).input, stored(old).status) == (
            "created",
            2,
            "cancelled",
        )

    def test_leased_meanwhile(self) -> None:
        old = pending("a", 1, concurrency_key="c")
        with once_before_looking_for_the_winner(lambda: take(old)):
            new = pending("a", 2, concurrency_key="c", coalesce=True)
        assert (new.disposition, stored(old).status) == ("created", "leased")

    def test_deleted_meanwhile(self) -> None:
        lease = leased("a", 1, idempotency_key="i")
        settle(completed(lease))
        with once_before_looking_for_the_winner(lambda: transitions.delete(lease.run_id)):
            new = pending("a", 2, idempotency_key="i")
        assert (new.disposition, stored(new).input) == ("created", 2)


@contextmanager
def once_before_looking_for_the_winner(act: Callable[[], object]) -> Iterator[None]:
    """Does something on the same connection, between the insert and the look for the winner."""
    acts = [act]

    def before(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if acts and sql.startswith("SELECT") and "LIMIT 1" in sql:
            acts.pop()()
        return execute(sql, params, many, context)

    with database.connection().execute_wrapper(before):
        yield
    assert not acts, "nobody looked for a winner"


class TestTransaction:
    def test_a_run_of_a_transaction_that_rolls_back_never_was(self) -> None:
        kept: list[UUID] = []

        def trigger_and_fail() -> None:
            with transaction.atomic():
                kept.append(pending(labels={"a": "1"}).pk)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            trigger_and_fail()
        assert len(kept) == 1
        assert (Run.objects.count(), RunLabel.objects.count(), Event.objects.count()) == (0, 0, 0)

    def test_a_conflict_leaves_the_transaction_usable(self) -> None:
        with transaction.atomic():
            first = pending(concurrency_key="c")
            with pytest.raises(ConflictError):
                enqueued(request("b"), request("a", concurrency_key="c"))
            second = pending("b")
        assert {*Run.objects.values_list("pk", flat=True)} == {first.pk, second.pk}


class TestBytes:
    """Keys compare by their bytes, on every database."""

    KEYS = ("k", "K", "k ", " k", "ḱ", "k\t", "ß", "ss", "é", "e\u0301", "🦊", "🐻", "i", "İ")

    def test_idempotency_keys(self) -> None:
        runs = enqueued(*[request("a", key, idempotency_key=key) for key in self.KEYS])
        assert set(dispositions(runs)) == {"created"}
        again = enqueued(*[request("a", idempotency_key=key) for key in self.KEYS])
        assert [run.input for run in again] == list(self.KEYS)

    def test_concurrency_keys(self) -> None:
        runs = enqueued(*[request("a", key, concurrency_key=key) for key in self.KEYS])
        assert set(dispositions(runs)) == {"created"}
        again = enqueued(*[request("a", concurrency_key=k, coalesce=True) for k in self.KEYS])
        assert [run.input for run in again] == list(self.KEYS)

    def test_job_names(self) -> None:
        runs = enqueued(*[request(key, idempotency_key="i") for key in self.KEYS])
        assert set(dispositions(runs)) == {"created"}

    def test_the_longest_keys_of_the_widest_characters(self) -> None:
        key = "🦊" * 255
        made = pending(key, idempotency_key=key, concurrency_key=key, labels={"x" * 64: key})
        assert pending(key, idempotency_key=key).pk == made.pk
        assert take(made).run_id == made.pk


def test_where_a_run_comes_from() -> None:
    first = pending()
    again = stored(pending(retriggered_from=first.pk, triggered_by="user 7"))
    assert (again.retriggered_from, again.triggered_by) == (first.pk, "user 7")
