"""The database itself refuses what the code might get wrong; its key columns compare bytes."""

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F

from django_durably import clock, fields
from django_durably.models import Event, Run, RunLabel, Step, Worker
from django_durably.storage import database
from tests.storage.making import expire, handed_back, leased, pending, settle, step, stored

pytestmark = pytest.mark.django_db


class TestWaiting:
    def test_a_second_waiting_run_of_job_and_key(self) -> None:
        pending("a", concurrency_key="c")
        with pytest.raises(IntegrityError), transaction.atomic():
            Run(job_name="a", concurrency_key="c").save()

    def test_another_key_job_or_no_key_is_fine(self) -> None:
        pending("a", concurrency_key="c")
        for job, key in [("a", "C"), ("a", "c "), ("b", "c"), ("a", None), ("a", None)]:
            Run(job_name=job, concurrency_key=key).save()
        assert Run.objects.count() == 6

    def test_a_run_that_came_back_does_not_count(self) -> None:
        lease = leased(concurrency_key="c")
        pending(concurrency_key="c")
        settle(handed_back(lease))
        assert Run.objects.filter(status="pending", concurrency_key="c").count() == 2
        assert Run.objects.filter(waiting_key="c").count() == 1

    def test_a_run_may_not_become_a_second_waiting_one(self) -> None:
        pending("a", concurrency_key="c")
        other = pending("a", concurrency_key="d")
        with pytest.raises(IntegrityError), transaction.atomic():
            Run.objects.filter(pk=other.pk).update(concurrency_key="c")

    def test_an_ended_run_frees_the_key(self) -> None:
        first = pending("a", concurrency_key="c")
        Run.objects.filter(pk=first.pk).update(status="completed")
        Run(job_name="a", concurrency_key="c").save()
        assert Run.objects.get(waiting_key="c").status == "pending"


class TestLeased:
    @pytest.mark.parametrize("job", ["a", "b"])
    def test_a_second_leased_run_of_a_key_whatever_its_job(self, job: str) -> None:
        leased("a", concurrency_key="c")
        second = pending(job, concurrency_key="c")
        with pytest.raises(IntegrityError), transaction.atomic():
            Run.objects.filter(pk=second.pk).update(status="leased", started_at=clock.now())
        assert stored(second).status == "pending"

    def test_an_expired_lease_counts_until_it_is_released(self) -> None:
        expire(leased("a", concurrency_key="c"))
        with pytest.raises(IntegrityError), transaction.atomic():
            Run(job_name="b", concurrency_key="c", status="leased").save()

    def test_another_key_or_none_is_fine(self) -> None:
        leased("a", concurrency_key="c")
        for key in ("C", "c ", None, None):
            Run(job_name="a", concurrency_key=key, status="leased").save()
        assert Run.objects.filter(status="leased").count() == 5

    def test_many_ended_runs_may_have_one_key(self) -> None:
        for _ in range(3):
            Run(job_name="a", concurrency_key="c", status="completed").save()
        assert Run.objects.filter(leased_key=None, waiting_key=None).count() == 3


class TestOtherKeys:
    def test_a_second_run_of_job_and_idempotency_key(self) -> None:
        Run(job_name="a", idempotency_key="i", status="completed").save()
        with pytest.raises(IntegrityError), transaction.atomic():
            Run(job_name="a", idempotency_key="i").save()
        Run(job_name="a", idempotency_key="i ").save()
        Run(job_name="A", idempotency_key="i").save()
        assert Run.objects.count() == 3

    def test_a_second_try_of_a_step_with_one_number(self) -> None:
        lease = leased()
        settle(step(lease, "s"))
        with pytest.raises(IntegrityError), transaction.atomic():
            settle(step(lease, "s", 7))
        settle(step(lease, "s", attempt=2), step(lease, "S"))
        assert Step.objects.count() == 3

    def test_a_second_label_with_one_key(self) -> None:
        run = pending(labels={"k": "1"})
        with pytest.raises(IntegrityError), transaction.atomic():
            RunLabel(run=run, key="k", value="2").save()
        RunLabel(run=run, key="K", value="2").save()
        assert run.label_rows.count() == 2


KEY_COLUMNS = {
    "durably_run": {"job_name", "idempotency_key", "concurrency_key", "waiting_key", "leased_key"},
    "durably_runlabel": {"key", "value"},
    "durably_step": {"name"},
    "durably_event": {"job_name"},
}


def test_every_key_field_is_one_of_those() -> None:
    models = (Run, RunLabel, Step, Event, Worker)
    found = {
        model._meta.db_table: {
            field.column
            for field in model._meta.concrete_fields
            if isinstance(getattr(field, "output_field", field), fields.KeyField)
        }
        for model in models
    }
    assert {table: names for table, names in found.items() if names} == KEY_COLUMNS


def test_on_mariadb_keys_have_a_collation_of_bytes_without_padding() -> None:
    if database.connection().vendor != "mysql":
        pytest.skip("only MariaDB folds case and ignores trailing spaces by default")
    rows = database.select(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND table_name LIKE 'durably_%%'"
    )
    collations = {(table, column): collation for table, column, collation in rows}
    assert {
        collations[table, column] for table, columns in KEY_COLUMNS.items() for column in columns
    } == {"utf8mb4_nopad_bin"}


@pytest.mark.parametrize("text", ["k", "K", "k ", "é", "e\u0301", "🦊", "ß"])
def test_the_database_compares_keys_as_python_does(text: str) -> None:
    Run(job_name=text, concurrency_key=text, idempotency_key=text).save()
    for other in ["k", "K", "k ", "é", "e\u0301", "🦊", "ß", "ss"]:
        same = Run.objects.filter(
            job_name=other, idempotency_key=other, concurrency_key=other, waiting_key=other
        )
        assert same.exists() is (other == text)
    assert Run.objects.filter(waiting_key=F("concurrency_key")).count() == 1
