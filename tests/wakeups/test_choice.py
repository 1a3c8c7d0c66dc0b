"""Which way is chosen, and hints that wait for a commit."""

from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from django_durably.wakeups import (
    EVENTS,
    RUNS,
    close_wakeups,
    get_wakeups,
    publish_on_commit,
)
from tests.support import databases
from tests.wakeups.hearing import Ear

WAYS = {"sqlite": "SqliteWakeups", "postgresql": "PostgresqlWakeups", "mariadb": "PollingWakeups"}


def way() -> str:
    return type(get_wakeups()).__name__


@pytest.mark.django_db
class TestChoice:
    def test_the_database_chooses(self) -> None:
        assert way() == WAYS[databases.chosen()]

    def test_there_is_one_per_process(self) -> None:
        assert get_wakeups() is get_wakeups()

    def test_a_channel_layer_goes_before_the_database(self, settings: Settings) -> None:
        settings.DURABLY = {"CHANNEL_LAYER": "redis"}
        assert way() == "ChannelLayerWakeups"

    def test_changed_settings_choose_afresh(self, settings: Settings) -> None:
        before = get_wakeups()
        settings.DURABLY = {"POLL_SECONDS": 2}
        assert get_wakeups() is not before

    def test_after_closing_the_next_use_chooses_afresh(self) -> None:
        before = get_wakeups()
        close_wakeups()
        assert get_wakeups() is not before

    @pytest.mark.skipif(databases.chosen() != "sqlite", reason="needs SQLite")
    def test_a_database_in_memory_is_polled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connection.settings_dict, "NAME", ":memory:")
        wakeups = get_wakeups()
        assert not wakeups.pushes
        ear = Ear()
        listener = wakeups.listen(ear)
        wakeups.publish(RUNS)
        listener.close()
        assert not ear.calls


def hinted(callbacks: list[Any]) -> list[set[str]]:
    return [set(callback.topics) for callback in callbacks]


@pytest.mark.django_db
class TestPublishOnCommit:
    def test_a_transaction_hints_once_at_each_topic(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        with django_capture_on_commit_callbacks() as callbacks:
            publish_on_commit(RUNS, EVENTS)
            publish_on_commit(EVENTS)
            publish_on_commit(RUNS)
        assert hinted(callbacks) == [{RUNS, EVENTS}]

    def test_a_topic_that_is_new_is_added(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        with django_capture_on_commit_callbacks() as callbacks:
            publish_on_commit(RUNS)
            with transaction.atomic():
                publish_on_commit(RUNS, EVENTS)
        assert hinted(callbacks) == [{RUNS}, {EVENTS}]

    def test_a_savepoint_that_rolls_back_takes_only_its_own_hint(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        with django_capture_on_commit_callbacks() as callbacks:
            with transaction.atomic():
                publish_on_commit(RUNS)
                transaction.set_rollback(True)
            publish_on_commit(EVENTS)
            with transaction.atomic():
                publish_on_commit(EVENTS)
                transaction.set_rollback(True)
        assert hinted(callbacks) == [{EVENTS}]

    def test_a_hint_of_an_open_savepoint_does_not_stand_for_one_outside(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        with django_capture_on_commit_callbacks() as callbacks:
            with transaction.atomic():
                publish_on_commit(RUNS)
            publish_on_commit(RUNS)
        assert hinted(callbacks) == [{RUNS}, {RUNS}]
