"""Triggers that meet on a key: one creates the run, the others are answered with it or refused."""

from contextlib import suppress
from functools import partial
from threading import Event
from typing import Any

import pytest
from django.db import transaction

from django_durably.exceptions import ConflictError
from django_durably.models import Event as Recorded
from django_durably.models import Run
from django_durably.storage import transitions
from tests.races.threads import PATIENCE, Background, at_once, until_somebody_waits_for_a_lock
from tests.storage.making import enqueued, ids, pending, request, stored, take
from tests.support import databases

THREADS = 6


def test_one_idempotency_key() -> None:
    runs = at_once(*[partial(pending, "a", n, idempotency_key="i") for n in range(THREADS)])
    assert sorted(run.disposition for run in runs) == ["created"] + ["idempotent"] * (THREADS - 1)
    assert len({run.pk for run in runs}) == Run.objects.count() == Recorded.objects.count() == 1
    assert {run.input for run in runs} == {stored(runs[0]).input}


def test_one_concurrency_key_that_coalesces() -> None:
    runs = at_once(
        *[partial(pending, "a", n, concurrency_key="c", coalesce=True) for n in range(THREADS)]
    )
    assert sorted(run.disposition for run in runs) == ["coalesced"] * (THREADS - 1) + ["created"]
    assert len({run.pk for run in runs}) == Run.objects.count() == 1
    assert Recorded.objects.filter(type="run:coalesced").count() == THREADS - 1


def test_one_concurrency_key_that_does_not() -> None:
    def trigger(n: int) -> str:
        try:
            return pending("a", n, concurrency_key="c").disposition
        except ConflictError:
            return "refused"

    answers = at_once(*[partial(trigger, n) for n in range(THREADS)])
    assert sorted(answers) == ["created"] + ["refused"] * (THREADS - 1)
    assert Run.objects.count() == Recorded.objects.count() == 1


def test_batches_with_the_same_keys_in_different_order() -> None:
    """Rows are inserted in the order of their keys: the batches wait, and do not deadlock."""
    names = [f"{n}" for n in range(40)]

    def trigger(order: list[str]) -> list[Run]:
        return enqueued(*[request("a", key, idempotency_key=key) for key in order])

    answers = at_once(
        partial(trigger, names), partial(trigger, names[::-1]), partial(trigger, names[::2])
    )
    assert Run.objects.count() == Recorded.objects.count() == len(names)
    for runs in answers:
        assert [stored(run).input for run in runs] == [run.idempotency_key for run in runs]
    assert sum(run.disposition == "created" for runs in answers for run in runs) == len(names)


@pytest.mark.parametrize("kind", ["idempotency_key", "concurrency_key"])
@pytest.mark.parametrize("rolls_back", [True, False])
def test_waiting_for_a_rivals_transaction(kind: str, rolls_back: bool) -> None:
    keys: dict[str, Any] = {kind: "k", "coalesce": kind == "concurrency_key"}
    may_begin = Event()

    def trigger() -> Run:
        assert may_begin.wait(PATIENCE)
        return pending("a", "mine", **keys)

    with Background(trigger) as triggering:
        with transaction.atomic():
            rival = pending("a", "the rival's", **keys)
            may_begin.set()
            until_somebody_waits_for_a_lock()
            transaction.set_rollback(rolls_back)
        run = triggering.go_on()
    if rolls_back:
        assert (run.disposition, stored(run).input) == ("created", "mine")
    else:
        assert run.pk == rival.pk
        assert run.disposition == {"idempotency_key": "idempotent"}.get(kind, "coalesced")
    assert Run.objects.count() == 1


def test_the_waiting_run_is_leased_while_a_trigger_looks_for_it() -> None:
    """Its key is free then: the trigger creates a run of its own."""
    if databases.chosen() != "postgresql":
        pytest.skip("the loser holds a lock of the winner here, which cannot vanish")
    old = pending("a", "old", concurrency_key="c")
    trigger = partial(pending, "a", "new", concurrency_key="c", coalesce=True)
    with Background(trigger, before="waiting_key") as triggering:
        take(old)
        run = triggering.go_on()
    assert (run.disposition, stored(run).input) == ("created", "new")


def test_triggers_and_cancellations_of_one_key() -> None:
    """Whatever the order, a trigger ends with a run that was waiting when it was asked."""

    def trigger_and_cancel(n: int) -> list[Run]:
        runs = []
        for _ in range(5):
            run = pending("a", n, concurrency_key="c", coalesce=True)
            runs.append(run)
            with suppress(ConflictError):  # somebody who coalesced with it was faster
                transitions.cancel(run.pk)
        return runs

    answers = at_once(*[partial(trigger_and_cancel, n) for n in range(3)])
    created = [run for runs in answers for run in runs if run.disposition == "created"]
    assert sorted(ids(created)) == sorted(Run.objects.values_list("pk", flat=True))
    assert {*Run.objects.values_list("status", flat=True)} == {"cancelled"}
    assert Recorded.objects.filter(type="run:cancel").count() == len(created)
