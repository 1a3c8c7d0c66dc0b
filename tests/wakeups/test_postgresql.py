"""What only PostgreSQL does: sessions that break, and notifications that wait for a commit."""

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries

from django_durably.wakeups import EVENTS, RUNS, TOPICS
from django_durably.wakeups import postgresql as module
from django_durably.wakeups.postgresql import PostgresqlWakeups, connect, statement
from tests.support import databases
from tests.support.waiting import eventually
from tests.wakeups.hearing import Ear, listening

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(databases.chosen() != "postgresql", reason="needs PostgreSQL"),
]

OTHERS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'
"""


@pytest.fixture
def wakeups() -> Iterator[PostgresqlWakeups]:
    wakeups = PostgresqlWakeups("default")
    yield wakeups
    wakeups.close()


def other_sessions() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(OTHERS)
        return [pid for (pid,) in cursor.fetchall()]


def terminate(pids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [pids])


def test_a_process_has_one_connection_however_many_listen(wakeups: PostgresqlWakeups) -> None:
    with listening(wakeups), listening(wakeups), listening(wakeups):
        assert len(other_sessions()) == 1
    eventually(lambda: not other_sessions())


def test_a_lost_connection_heals_and_every_topic_is_called(wakeups: PostgresqlWakeups) -> None:
    with listening(wakeups) as ear:
        before = dict(ear.calls)
        terminate(lost := other_sessions())

        eventually(lambda: all(ear.calls[topic] > before[topic] for topic in TOPICS))
        ear.hears(RUNS, lambda: wakeups.publish(RUNS))
        assert not set(other_sessions()) & set(lost)


def test_a_connection_that_is_lost_again_and_again_heals(wakeups: PostgresqlWakeups) -> None:
    with listening(wakeups, [RUNS]) as ear:
        for _ in range(3):
            ear.hears(RUNS, lambda: terminate(other_sessions()))
        ear.hears(RUNS, lambda: wakeups.publish(RUNS))


def test_a_silent_loss_is_found_by_asking(
    wakeups: PostgresqlWakeups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.05)
    with listening(wakeups, [RUNS]) as ear:
        query = "SELECT query FROM pg_stat_activity WHERE pid = %s"

        def last_statement() -> str:
            with connection.cursor() as cursor:
                cursor.execute(query, other_sessions())
                return str(cursor.fetchone()[0])

        eventually(lambda: last_statement() == "SELECT 1")
        ear.hears(RUNS, lambda: wakeups.publish(RUNS))


def test_a_callers_broken_connection_costs_no_hint(wakeups: PostgresqlWakeups) -> None:
    with listening(wakeups) as ear:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (own,) = cursor.fetchone()
        with connect("default") as other:
            other.execute("SELECT pg_terminate_backend(%s)", [own])

        ear.hears(EVENTS, lambda: wakeups.publish(EVENTS))
        assert connection.errors_occurred
    connection.close()


def test_a_caller_without_a_connection_gets_none(wakeups: PostgresqlWakeups) -> None:
    with listening(wakeups) as ear:
        connection.close()
        ear.hears(RUNS, lambda: wakeups.publish(RUNS))
        assert connection.connection is None


def test_a_process_that_only_publishes_lets_its_connection_go(
    wakeups: PostgresqlWakeups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.05)
    hearer = PostgresqlWakeups("default")
    with listening(hearer, [RUNS]) as ear:
        listener_only = other_sessions()
        connection.close()
        ear.hears(RUNS, lambda: wakeups.publish(RUNS))
        eventually(lambda: other_sessions() == listener_only)
        connection.close()
        ear.hears(RUNS, lambda: wakeups.publish(RUNS))


def test_publishing_inside_a_transaction_waits_for_its_commit(wakeups: PostgresqlWakeups) -> None:
    with listening(wakeups) as ear:
        before = ear.calls[RUNS]
        with transaction.atomic():
            wakeups.publish(RUNS)
            with connect("default") as other:
                ear.hears(EVENTS, lambda: other.execute(statement("NOTIFY", frozenset({EVENTS}))))
            assert ear.calls[RUNS] == before
        eventually(lambda: ear.calls[RUNS] > before)


def test_publishing_inside_a_transaction_that_rolls_back_sends_nothing(
    wakeups: PostgresqlWakeups,
) -> None:
    with listening(wakeups) as ear:
        before = ear.calls[RUNS]
        with transaction.atomic():
            wakeups.publish(RUNS)
            transaction.set_rollback(True)
        ear.hears(EVENTS, lambda: wakeups.publish(EVENTS))
        assert ear.calls[RUNS] == before


def test_publishing_is_no_query_of_the_callers(
    wakeups: PostgresqlWakeups, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    connection.ensure_connection()
    with django_assert_num_queries(0), listening(wakeups) as ear:
        ear.hears(RUNS, lambda: wakeups.publish(RUNS))


def test_a_server_that_is_not_there_hurts_no_caller(
    wakeups: PostgresqlWakeups, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    listener = wakeups.listen(ear)
    wakeups.publish(RUNS)
    eventually(lambda: "PostgreSQL connection for wake-ups failed" in caplog.text)
    monkeypatch.undo()
    eventually(lambda: ear.calls[RUNS])
    listener.close()


def test_the_listening_connection_is_in_autocommit() -> None:
    with connect("default") as own:
        assert own.autocommit
        assert own.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert own.cursor_factory is psycopg.Cursor
