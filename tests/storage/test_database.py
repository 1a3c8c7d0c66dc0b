"""The dialects, and the one place that runs a transaction again."""

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, transaction

from django_durably.storage import database
from tests.storage.making import pending, stored


class Refusals:
    """A storage function that the database refuses a number of times."""

    def __init__(self, times: int, error: OperationalError) -> None:
        self.calls = 0
        self._times = times
        self._error = error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return "done"

    __name__ = "refusals"


LOCKED = OperationalError("database is locked")


class TestRetrying:
    def test_a_transient_refusal_is_tried_again(self) -> None:
        refusals = Refusals(3, LOCKED)
        assert database.retrying(refusals)() == "done"
        assert refusals.calls == 4

    def test_gives_up_in_the_end_with_the_databases_own_error(self) -> None:
        refusals = Refusals(99, LOCKED)
        with pytest.raises(OperationalError, match="database is locked"):
            database.retrying(refusals)()
        assert refusals.calls == database.ATTEMPTS

    def test_another_error_is_not_tried_again(self) -> None:
        refusals = Refusals(1, OperationalError("server closed the connection unexpectedly"))
        with pytest.raises(OperationalError, match="server closed"):
            database.retrying(refusals)()
        assert refusals.calls == 1

    @pytest.mark.django_db
    def test_inside_a_transaction_only_its_owner_can_try_again(self) -> None:
        refusals = Refusals(1, LOCKED)
        with pytest.raises(OperationalError), transaction.atomic():
            database.retrying(refusals)()
        assert refusals.calls == 1

    def test_passes_arguments_and_results_on(self) -> None:
        @database.retrying
        def add(a: int, b: int = 1) -> int:
            """Adds."""
            return a + b

        assert (add(1), add(1, b=2), add.__doc__) == (2, 3, "Adds.")


@pytest.mark.django_db
class TestErrors:
    def test_a_refused_value_is_not_transient(self) -> None:
        with pytest.raises(DatabaseError) as refused, transaction.atomic():
            database.execute("SELECT no_such_column FROM durably_run")
        assert not database.is_transient(refused.value)

    def test_a_taken_key_is_not_transient(self) -> None:
        run = pending()
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            database.execute(
                "INSERT INTO durably_runlabel (run_id, "
                f"{database.connection().ops.quote_name('key')}, value) "
                "VALUES (%s, 'k', ''), (%s, 'k', '')",
                [database.adapt_id(run.pk)] * 2,
            )
        assert not database.is_transient(refused.value)
        assert not database.is_lock_timeout(refused.value)


@pytest.mark.django_db
class TestStatements:
    def test_execute_counts_matched_rows_even_if_nothing_changes(self) -> None:
        pending()
        assert database.execute("UPDATE durably_run SET crashes = 0") == 1

    def test_ids_and_times_survive_the_way_through_raw_sql(self) -> None:
        run = pending()
        ((id_,),) = database.select(
            "SELECT id FROM durably_run WHERE id = %s AND created_at = %s",
            [database.adapt_id(run.pk), database.adapt_time(run.created_at)],
        )
        assert database.read_id(id_) == run.pk == stored(run).pk

    def test_inserts_more_rows_than_one_statement_holds(self) -> None:
        run = pending()
        count = database.ROWS_PER_STATEMENT * 2 + 1
        rows = [(database.adapt_id(run.pk), f"k{n}", "") for n in range(count)]
        returned = database.insert(
            "durably_runlabel", ("run_id", "key", "value"), rows, "RETURNING id"
        )
        assert len(set(returned)) == run.label_rows.count() == count

    def test_inserting_nothing_is_fine(self) -> None:
        assert database.insert("durably_runlabel", ("run_id", "key", "value"), []) == []
