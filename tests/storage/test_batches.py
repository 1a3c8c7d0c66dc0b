"""One commit of the journal: what is stored of whom, and what a lost lease may still change."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from django_durably import clock
from django_durably.events import EventType
from django_durably.models import Event, LogEntry, Run, Step
from django_durably.storage import batches, leases, transitions
from django_durably.storage.changes import Change, ClaimRequest, Lease, Settlement
from tests.storage.making import (
    claim,
    completed,
    enqueued,
    event,
    event_types,
    expire,
    failed,
    handed_back,
    ids,
    leased,
    log,
    pending,
    progress,
    request,
    settle,
    statuses,
    step,
    stored,
    take,
)

pytestmark = pytest.mark.django_db

VALUES: list[Any] = [
    None,
    0,
    False,
    "",
    "null",
    [],
    {},
    "🦊 %s \\ \u2028",
    {"k": [None, 1.5]},
    "x" * 100_000,
]
WIDE = pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])


def test_nothing_to_store_is_fine() -> None:
    committed = batches.commit([])
    assert (committed.lost, committed.drafts, committed.freed) == ({}, (), False)


class TestSteps:
    @WIDE
    def test_an_output_comes_back_as_it_was(self, value: Any) -> None:
        lease = leased()
        settle(step(lease, output=value))
        saved = Step.objects.get(run_id=lease.run_id).output
        assert (saved, type(saved)) == (value, type(value))

    def test_all_that_is_stored_of_a_try(self) -> None:
        lease = leased(owner="worker-7")
        change = step(lease, "schritt 🦊", 3, attempt=2, output=[1])
        settle(change)
        saved = Step.objects.get()
        assert change.step is not None
        assert (saved.name, saved.index, saved.attempt) == ("schritt 🦊", 3, 2)
        assert (saved.status, saved.error) == ("completed", None)
        assert (saved.lease_generation, saved.worker) == (1, "worker-7")
        assert (saved.started_at, saved.completed_at) == (
            change.step.started_at,
            change.step.completed_at,
        )

    def test_a_failed_try_keeps_its_error(self) -> None:
        lease = leased()
        settle(step(lease, status="failed", error="boom 🦊\nline 2"))
        saved = Step.objects.get()
        assert (saved.status, saved.output, saved.error) == ("failed", None, "boom 🦊\nline 2")

    def test_the_run_counts_its_checkpoints(self) -> None:
        lease = leased()
        settle(step(lease, "a", 0), step(lease, "b", 1))
        settle(step(lease, "c", 2))
        run = stored(lease)
        assert (run.completed_step_count, run.current_step_index) == (3, 3)

    def test_a_failed_try_is_no_checkpoint(self) -> None:
        lease = leased()
        settle(step(lease, "a", 0), step(lease, "b", 1, status="failed", error="boom"))
        run = stored(lease)
        assert (run.completed_step_count, run.current_step_index) == (1, 1)

    def test_a_checkpoint_ends_a_series_of_crashes(self) -> None:
        lease = leased()
        Run.objects.filter(pk=lease.run_id).update(crashes=4)
        settle(progress(lease, 1), step(lease, "a", status="failed", error="boom"))
        assert stored(lease).crashes == 4
        settle(step(lease, "a", attempt=2))
        assert stored(lease).crashes == 0

    def test_names_compare_by_their_bytes(self) -> None:
        lease = leased()
        names = ["s", "S", "s ", "ß", "ss", "é", "e\u0301"]
        settle(*[step(lease, name, n) for n, name in enumerate(names)])
        assert [s.name for s in Step.objects.all()] == names


class TestReports:
    @WIDE
    def test_the_data_of_a_log_entry(self, value: Any) -> None:
        lease = leased()
        settle(log(lease, "seen", value))
        saved = LogEntry.objects.get().data
        assert (saved, type(saved)) == (value, type(value))

    def test_log_entries_keep_their_order_and_all_they_say(self) -> None:
        first, second = leased(), leased()
        changes = [log((first, second)[n % 2], f"line {n} 🦊", level="warn") for n in range(20)]
        settle(*changes)
        assert [entry.message for entry in LogEntry.objects.all()] == [
            f"line {n} 🦊" for n in range(20)
        ]
        mine = LogEntry.objects.filter(run_id=first.run_id).first()
        assert mine is not None
        assert changes[0].log is not None
        assert (mine.level, mine.step_name) == ("warn", None)
        assert mine.timestamp == changes[0].log.timestamp

    def test_a_log_entry_may_name_its_step(self) -> None:
        lease = leased()
        change = log(lease, "inside")
        assert change.log is not None
        settle(replace(change, log=replace(change.log, step_name="s")))
        assert LogEntry.objects.get().step_name == "s"

    def test_the_latest_progress_of_a_batch_stays(self) -> None:
        lease = leased()
        settle(progress(lease, 1), progress(lease, 2), step(lease))
        assert stored(lease).progress == {"current": 2}
        settle(step(lease, "t", 1))
        assert stored(lease).progress == {"current": 2}

    def test_runs_of_a_batch_do_not_mix(self) -> None:
        first, second, third = (leased("a", n) for n in range(3))
        settle(
            progress(first, 1),
            step(second, "s"),
            log(third, "x"),
            step(first, "s"),
            progress(second, 2),
        )
        assert [stored(x).progress for x in (first, second, third)] == [
            {"current": 1},
            {"current": 2},
            None,
        ]
        assert [stored(x).completed_step_count for x in (first, second, third)] == [1, 1, 0]


class TestEvents:
    def test_are_recorded_in_the_order_of_the_changes(self) -> None:
        first, second = leased(), leased()
        changes = [
            Change(lease, events=(event(lease, EventType.STEP_START, stepName=f"{n}"),))
            for n, lease in enumerate([first, second] * 10)
        ]
        before = Event.objects.count()
        committed = batches.commit(changes)
        recorded = list(Event.objects.order_by("id")[before:])
        assert [e.payload["stepName"] for e in recorded] == [f"{n}" for n in range(20)]
        assert [e.pk for e in recorded] == list(committed.event_ids)
        assert [d.run_id for d in committed.drafts] == [e.run_id for e in recorded]

    def test_a_change_may_tell_more_than_one(self) -> None:
        lease = leased()
        types = (EventType.STEP_START, EventType.STEP_COMPLETE)
        settle(replace(step(lease), events=tuple(event(lease, type_) for type_ in types)))
        assert event_types(lease)[-2:] == ["step:start", "step:complete"]

    def test_of_a_lost_lease_are_not_told(self) -> None:
        gone, held = leased(), leased()
        transitions.cancel(gone.run_id)
        committed = batches.commit(
            [Change(x, events=(event(x, EventType.STEP_START),)) for x in (gone, held)]
        )
        assert [draft.run_id for draft in committed.drafts] == [held.run_id]
        assert len(committed.event_ids) == 1
        assert "step:start" not in event_types(gone)

    @WIDE
    def test_carry_values_as_they_are(self, value: Any) -> None:
        lease = leased()
        settle(Change(lease, events=(event(lease, EventType.STEP_COMPLETE, output=value),)))
        assert Event.objects.get(type="step:complete").payload == {"output": value}


class TestSettling:
    @WIDE
    def test_completion(self, value: Any) -> None:
        lease = leased()
        settle(completed(lease, value))
        run = stored(lease)
        assert (run.status, run.error, run.is_terminal) == ("completed", None, True)
        assert (run.output, type(run.output)) == (value, type(value))
        assert (run.lease_owner, run.lease_expires_at) == (None, None)
        assert run.completed_at is not None
        assert abs(clock.now() - run.completed_at) < timedelta(seconds=10)
        assert event_types(lease)[-1] == "run:complete"

    def test_failure(self) -> None:
        lease = leased()
        settle(failed(lease, "boom 🦊"))
        run = stored(lease)
        assert (run.status, run.error, run.output) == ("failed", "boom 🦊", None)
        assert run.error_traceback == "Traceback: boom"
        assert (run.lease_owner, run.lease_expires_at) == (None, None)
        assert run.completed_at is not None

    def test_handing_back(self) -> None:
        lease = leased()
        settle(step(lease), progress(lease, 1))
        settle(handed_back(lease))
        run = stored(lease)
        assert (run.status, run.completed_at, run.crashes) == ("pending", None, 0)
        assert (run.lease_owner, run.lease_expires_at) == (None, None)
        assert (run.lease_generation, run.completed_step_count) == (1, 1)
        assert run.progress == {"current": 1}
        assert run.started_at is not None
        assert claim()[0].lease.generation == 2

    def test_handing_back_lets_others_start(self) -> None:
        assert batches.commit([handed_back(leased())]).freed

    def test_completion_without_a_key_frees_nobody(self) -> None:
        assert not batches.commit([completed(leased())]).freed

    def test_what_comes_before_the_end_is_stored_with_it(self) -> None:
        lease = leased()
        settle(step(lease), log(lease, "last words"), progress(lease, 9), completed(lease, 1))
        run = stored(lease)
        assert (run.completed_step_count, run.progress) == (1, {"current": 9})
        assert (Step.objects.count(), LogEntry.objects.count()) == (1, 1)

    @pytest.mark.parametrize("end", [completed, failed])
    def test_steps_may_be_dropped_at_the_end(self, end: Any) -> None:
        kept, dropped = leased(), leased()
        settle(step(kept), step(dropped))
        settle(step(dropped, "t", 1), end(dropped, keep_steps=False), end(kept))
        assert [s.run_id for s in Step.objects.all()] == [kept.run_id]
        assert stored(dropped).completed_step_count == 2

    def test_a_run_that_is_handed_back_keeps_its_steps(self) -> None:
        lease = leased()
        how = Settlement("pending", keep_steps=False)
        settle(step(lease), Change(lease, settlement=how))
        assert Step.objects.count() == 1

    def test_many_runs_at_once(self) -> None:
        runs = enqueued(*[request("a", n) for n in range(120)])
        taken = claim(limit=200)
        settle(*[c for x in taken for c in (step(x.lease), completed(x.lease, x.input))])
        assert {(r.status, r.output == r.input) for r in Run.objects.all()} == {("completed", True)}
        assert (len(runs), Step.objects.count()) == (120, 120)


class TestFencing:
    """A worker that lost its lease changes nothing, whatever it believes."""

    def everything(self, lease: Lease) -> list[Change]:
        return [step(lease, "late"), log(lease, "late"), progress(lease, 99), completed(lease, 99)]

    def assert_untouched(self, before: Run) -> None:
        now = stored(before)
        for field in Run._meta.concrete_fields:
            assert getattr(now, field.attname) == getattr(before, field.attname), field.name
        assert not Step.objects.filter(name="late").exists()
        assert not LogEntry.objects.filter(message="late").exists()
        assert "run:complete" not in event_types(before)

    def test_after_another_worker_took_over(self) -> None:
        old = leased(owner="w1")
        expire(old)
        leases.release_expired()
        (new,) = claim(owner="w2")
        before = stored(old)
        committed = batches.commit(self.everything(old))
        assert (committed.lost, committed.locked_elsewhere) == ({old: "leased"}, set())
        self.assert_untouched(before)
        settle(completed(new.lease))

    def test_after_expiry_before_anybody_took_over(self) -> None:
        lease = leased()
        expire(lease)
        leases.release_expired()
        before = stored(lease)
        assert batches.commit(self.everything(lease)).lost == {lease: "pending"}
        self.assert_untouched(before)

    def test_after_cancellation(self) -> None:
        lease = leased()
        transitions.cancel(lease.run_id)
        before = stored(lease)
        assert batches.commit(self.everything(lease)).lost == {lease: "cancelled"}
        self.assert_untouched(before)

    def test_after_its_own_end(self) -> None:
        lease = leased()
        settle(failed(lease))
        before = stored(lease)
        assert batches.commit(self.everything(lease)).lost == {lease: "failed"}
        self.assert_untouched(before)

    def test_after_deletion(self) -> None:
        lease = leased()
        Run.objects.filter(pk=lease.run_id).delete()
        assert batches.commit(self.everything(lease)).lost == {lease: None}
        assert Step.objects.count() == 0

    def test_a_generation_that_never_was(self) -> None:
        lease = leased()
        before = stored(lease)
        assert batches.commit(self.everything(replace(lease, generation=2))).lost
        self.assert_untouched(before)

    def test_an_expired_lease_that_nobody_took_is_good_still(self) -> None:
        lease = leased()
        expire(lease)
        settle(*self.everything(lease))
        assert statuses(lease) == ["completed"]

    def test_old_and_new_lease_of_one_run_in_one_batch(self) -> None:
        old = leased(owner="w1")
        settle(handed_back(old))
        new = claim(owner="w1")[0].lease
        committed = batches.commit([step(old, "late"), step(new, "s"), failed(old), completed(new)])
        assert set(committed.lost) == {old}
        assert statuses(new) == ["completed"]
        assert [(s.name, s.lease_generation) for s in Step.objects.all()] == [("s", 2)]

    def test_the_others_of_the_batch_are_stored(self) -> None:
        gone, held = leased(), leased()
        transitions.cancel(gone.run_id)
        committed = batches.commit([*self.everything(gone), *self.everything(held)])
        assert (committed.lost, statuses(held)) == ({gone: "cancelled"}, ["completed"])
        assert [s.run_id for s in Step.objects.all()] == [held.run_id]


class TestRefusedChange:
    """The journal takes a refused change out and commits the others without it."""

    def test_refuses_the_batch_and_stores_nothing_of_it(self) -> None:
        first, second = leased(), leased()
        settle(step(first, "s"))
        twice = step(first, "s")
        with pytest.raises(DatabaseError), transaction.atomic():
            batches.commit([step(second, "t"), twice, completed(second)])
        assert statuses(first, second) == ["leased", "leased"]
        assert [s.name for s in Step.objects.all()] == ["s"]
        settle(step(second, "t"), completed(second))

    def test_a_value_that_no_column_holds(self) -> None:
        lease = leased()
        with pytest.raises(DatabaseError), transaction.atomic():
            batches.commit([Change(lease, progress="{not json")])
        assert stored(lease).progress is None
        settle(completed(lease))


class TestNotesOnCancelledRuns:
    def note(self, lease: Lease, name: str = "stopped") -> Change:
        change = step(lease, name, status="cancelled")
        return replace(change, of_cancelled=True, events=(event(lease, EventType.STEP_CANCEL),))

    def test_are_stored_and_change_only_the_history(self) -> None:
        lease = leased()
        transitions.cancel(lease.run_id)
        before = stored(lease)
        settle(self.note(lease))
        assert [(s.name, s.status) for s in Step.objects.all()] == [("stopped", "cancelled")]
        assert event_types(lease)[-2:] == ["run:cancel", "step:cancel"]
        now = stored(lease)
        assert (now.status, now.completed_step_count) == ("cancelled", 0)
        assert now.updated_at == before.updated_at

    def test_are_stored_beside_changes_of_others(self) -> None:
        gone, held = leased(), leased()
        transitions.cancel(gone.run_id)
        settle(step(held), self.note(gone), completed(held, 1))
        assert {s.name for s in Step.objects.all()} == {"s", "stopped"}
        assert statuses(gone, held) == ["cancelled", "completed"]

    def test_are_dropped_while_the_run_is_not_cancelled(self) -> None:
        lease = leased()
        batches.commit([self.note(lease)])
        assert Step.objects.count() == 0
        settle(completed(lease))
        batches.commit([self.note(lease)])
        assert Step.objects.count() == 0

    def test_are_dropped_when_another_worker_had_the_run_since(self) -> None:
        old = leased()
        settle(handed_back(old))
        new = claim()[0].lease
        transitions.cancel(new.run_id)
        batches.commit([self.note(old, "old"), self.note(new, "new")])
        assert [s.name for s in Step.objects.all()] == ["new"]


class TestClaimingInTheSameCommit:
    def test_takes_runs_after_storing(self) -> None:
        lease, waiting = leased(), pending()
        committed = batches.commit([completed(lease)], ClaimRequest("w1", ("a",), 5))
        assert [run.lease.run_id for run in committed.claims.runs] == [waiting.pk]
        assert [draft.type for draft in committed.drafts] == ["run:complete", "run:leased"]
        told = Event.objects.filter(pk__in=committed.event_ids).order_by("id")
        assert [e.type for e in told] == ["run:complete", "run:leased"]
        assert list(committed.event_ids) == [e.pk for e in told]

    def test_may_be_all_there_is_to_do(self) -> None:
        waiting = pending()
        committed = batches.commit([], ClaimRequest("w1", ("a",), 5))
        assert [run.lease.run_id for run in committed.claims.runs] == [waiting.pk]

    def test_a_key_goes_from_one_run_to_the_next_in_one_commit(self) -> None:
        first, second = pending(concurrency_key="c"), pending("b", concurrency_key="c")
        lease = take(first)
        committed = batches.commit([completed(lease)], ClaimRequest("w1", ("a", "b"), 5))
        assert [run.lease.run_id for run in committed.claims.runs] == [second.pk]
        assert statuses(first, second) == ["completed", "leased"]

    def test_a_run_that_is_handed_back_may_be_taken_again_at_once(self) -> None:
        lease = leased()
        settle(step(lease, "done"))
        committed = batches.commit([handed_back(lease)], ClaimRequest("w1", ("a",), 5))
        (again,) = committed.claims.runs
        assert (again.lease.generation, [s.name for s in again.steps]) == (2, ["done"])

    def test_nothing_is_claimed_when_a_change_is_refused(self) -> None:
        lease, waiting = leased(), pending()
        settle(step(lease, "s"))
        with pytest.raises(DatabaseError), transaction.atomic():
            batches.commit([step(lease, "s")], ClaimRequest("w1", ("a",), 5))
        assert statuses(waiting) == ["pending"]


class TestStoredLeases:
    """After a connection broke between a commit and its answer."""

    @pytest.fixture
    def lease(self) -> Lease:
        return leased()

    @pytest.mark.parametrize("make", [step, completed, failed, handed_back])
    def test_tells_by_a_step_or_a_settlement(self, lease: Lease, make: Any) -> None:
        batch = [progress(lease, 1), make(lease), log(leased(), "other")]
        assert batches.stored_leases(batch) == set()
        batches.commit(batch)
        assert batches.stored_leases(batch) == {lease}

    def test_says_no_for_nothing(self) -> None:
        assert batches.stored_leases([]) == set()

    def test_another_try_of_the_step_is_not_this_one(self, lease: Lease) -> None:
        settle(step(lease, "s", status="failed", error="boom"))
        assert batches.stored_leases([step(lease, "s", attempt=2)]) == set()

    def test_a_step_of_the_next_holder_is_not_this_one(self) -> None:
        old, other = leased(owner="w1"), leased(owner="w1")
        expire(old)
        leases.release_expired()
        settle(step(claim(owner="w2")[0].lease, "s"))
        assert batches.stored_leases([step(old, "s"), completed(other)]) == set()

    def test_tells_of_each_lease_by_itself(self, lease: Lease) -> None:
        """Another connection held the other run's row while the batch was committed."""
        other = leased()
        settle(completed(lease))
        assert batches.stored_leases([completed(other), completed(lease)]) == {lease}


def test_lost_leases_keep_their_status_for_each_of_many() -> None:
    runs = enqueued(*[request("a", n) for n in range(6)])
    taken = {c.lease.run_id: c.lease for c in claim()}
    one, two, three, four, five, six = (taken[id_] for id_ in ids(runs))
    settle(completed(one), failed(two), handed_back(three))
    transitions.cancel(four.run_id)
    Run.objects.filter(pk=five.run_id).delete()
    committed = batches.commit([progress(x, 1) for x in taken.values()])
    assert committed.lost == {
        one: "completed",
        two: "failed",
        three: "pending",
        four: "cancelled",
        five: None,
    }
    assert stored(six).progress == {"current": 1}
