from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.db import connection, connections
from django.test import modify_settings
from pydantic import BaseModel
from pytest_django import DjangoDbBlocker

from django_durably import checks, conf, job
from django_durably.jobs import registry

SQLITE = "django.db.backends.sqlite3"
MARIADB = "django.db.backends.mysql"
SAFE_SQLITE: dict[str, Any] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}

Configure = Callable[..., list[CheckMessage]]


class Labels(BaseModel):
    org: str


class Opaque:
    pass


class OtherRouter:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"


@pytest.fixture
def check(settings: Any) -> Configure:
    """The messages of this package's checks under `DURABLY` and other settings."""

    def messages(durably: object, *, deploy: bool = False, **others: Any) -> list[CheckMessage]:
        settings.DURABLY = durably
        for name, value in others.items():
            setattr(settings, name, value)
        return run_checks(tags=[checks.TAG], include_deployment_checks=deploy)

    return messages


@pytest.fixture
def check_other_database(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """The messages about the options of a database that is never connected to."""

    def messages(engine: str, options: dict[str, Any], name: str = "x.db") -> list[CheckMessage]:
        described = {"ENGINE": engine, "NAME": name, "OPTIONS": options}
        full = connections.configure_settings({"default": {}, "other": described})["other"]
        monkeypatch.setitem(connections.settings, "other", full)
        settings.DURABLY = {"DATABASE": "other"}
        return checks.check_database_options(None)

    yield messages
    assert connections["other"].connection is None
    del connections["other"]


def ids(messages: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


def test_the_settings_of_the_test_suite_are_fine(check: Configure) -> None:
    assert check({}) == []
    assert check({}, deploy=True) == []


def test_every_setting_has_an_id_of_its_own() -> None:
    assert set(checks.IDS) == {conf.SETTING, *conf.SPECIFICATIONS}
    assert len(set(checks.IDS.values())) == len(checks.IDS)


@pytest.mark.parametrize("name", sorted(conf.SPECIFICATIONS))
def test_a_wrong_setting_is_an_error_with_its_id(check: Configure, name: str) -> None:
    [error] = check({name: ["wrong"]})
    assert error.is_serious()
    assert error.id == checks.IDS[name]
    assert name in error.msg


def test_each_wrong_setting_is_an_error_of_its_own(check: Configure) -> None:
    messages = check({"CONCURRENCY": 0, "POLL_SECONDS": 0})
    assert sorted(map(str, ids(messages))) == ["durably.E005", "durably.E006"]


def test_settings_that_contradict_each_other_are_an_error(check: Configure) -> None:
    assert ids(check({"LEASE_SECONDS": 5})) == ["durably.E004"]


@pytest.mark.parametrize("durably", [None, [], "x"])
def test_settings_that_are_no_dictionary_are_an_error(check: Configure, durably: object) -> None:
    assert ids(check(durably)) == ["durably.E001"]


def test_an_unknown_setting_is_an_error_with_a_suggestion(check: Configure) -> None:
    [error] = check({"CONCURENCY": 3})
    assert (error.id, error.hint) == ("durably.E001", "Did you mean 'CONCURRENCY'?")


def test_a_database_that_is_not_there_is_an_error(check: Configure) -> None:
    [error] = check({"DATABASE": "queue"})
    assert (error.id, error.hint) == ("durably.E009", "There are default.")


@pytest.mark.parametrize("policy", ["nowhere.Policy", f"{__name__}.Missing"])
def test_a_policy_that_is_not_there_is_an_error(check: Configure, policy: str) -> None:
    assert ids(check({"POLICY": policy})) == ["durably.E010"]


def test_a_policy_must_be_one(check: Configure) -> None:
    pytest.importorskip("django_durably.access")
    [error] = check({"POLICY": f"{__name__}.Opaque"})
    assert error.id == "durably.E010"
    assert "is not a subclass of django_durably.access.Policy" in error.msg


def test_a_policy_open_to_everybody_is_a_warning_at_deployment(check: Configure) -> None:
    policy = {"POLICY": checks.ALLOW_ANY}
    assert "durably.W051" in ids(check(policy, deploy=True))
    assert "durably.W051" not in ids(check(policy))


def test_a_schema_of_labels_is_looked_up(check: Configure) -> None:
    assert check({"LABELS": f"{__name__}.Labels"}) == []
    for wrong in (f"{__name__}.Missing", "nowhere.Labels", f"{__name__}.Opaque", Opaque):
        assert ids(check({"LABELS": wrong})) == ["durably.E011"]


def test_a_channel_layer_must_be_configured(check: Configure) -> None:
    layers = {"wakeups": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert check({"CHANNEL_LAYER": "wakeups"}, CHANNEL_LAYERS=layers) == []
    assert ids(check({"CHANNEL_LAYER": "typo"}, CHANNEL_LAYERS=layers)) == ["durably.E018"]


def test_a_channel_layer_needs_the_setting_of_channels(check: Configure, settings: Any) -> None:
    del settings.CHANNEL_LAYERS
    assert ids(check({"CHANNEL_LAYER": "default"})) == ["durably.E018"]


def test_the_app_must_be_installed(check: Configure) -> None:
    with modify_settings(INSTALLED_APPS={"remove": ["django_durably"]}):
        assert ids(check({})) == ["durably.E019"]


class TestRouting:
    @pytest.fixture(autouse=True)
    def _queue(
        self,
        monkeypatch: pytest.MonkeyPatch,
        django_db_setup: None,
        django_db_blocker: DjangoDbBlocker,
    ) -> Iterator[None]:
        """Django 6.1 asks the server of every alias for its version."""
        monkeypatch.setitem(connections.settings, "queue", connections.settings["default"])
        with django_db_blocker.unblock():
            yield
            connections["queue"].close()

    def test_another_database_needs_the_router(self, check: Configure) -> None:
        messages = check({"DATABASE": "queue"})
        assert ids(messages) == ["durably.E030", "durably.W031"]
        assert "DurablyRouter" in str(messages[0].hint)

    def test_with_the_router_a_warning_about_transactions_remains(self, check: Configure) -> None:
        routers = ["django_durably.router.DurablyRouter"]
        assert ids(check({"DATABASE": "queue"}, DATABASE_ROUTERS=routers)) == ["durably.W031"]

    def test_a_router_before_ours_may_not_take_the_runs_elsewhere(self, check: Configure) -> None:
        routers = [OtherRouter(), "django_durably.router.DurablyRouter"]
        messages = check({"DATABASE": "queue"}, DATABASE_ROUTERS=routers)
        assert "durably.E030" in ids(messages)


class TestSQLite:
    def test_safe_options_are_fine(self, check_other_database: Configure) -> None:
        assert check_other_database(SQLITE, SAFE_SQLITE) == []
        without_timeout = {k: v for k, v in SAFE_SQLITE.items() if k != "timeout"}
        assert check_other_database(SQLITE, without_timeout) == []

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"transaction_mode": None}, "does not begin transactions as IMMEDIATE"),
            ({"transaction_mode": "DEFERRED"}, "does not begin transactions as IMMEDIATE"),
            ({"init_command": None}, "is not set to WAL"),
            ({"init_command": "PRAGMA journal_mode=DELETE;"}, "is not set to WAL"),
            ({"timeout": 4.9}, "waits less than 5 seconds for a lock"),
        ],
    )
    def test_an_unsafe_option_is_a_warning_with_the_options_to_set(
        self, check_other_database: Configure, options: dict[str, Any], reason: str
    ) -> None:
        [warning] = check_other_database(SQLITE, {**SAFE_SQLITE, **options})
        assert warning.id == "durably.W033"
        assert not warning.is_serious()
        assert reason in warning.msg
        assert eval("{" + str(warning.hint).split("\n", 1)[1] + "}") == {"OPTIONS": SAFE_SQLITE}

    def test_no_options_lack_two_things(self, check_other_database: Configure) -> None:
        assert ids(check_other_database(SQLITE, {})) == ["durably.W033", "durably.W033"]

    def test_case_and_spaces_do_not_matter(self, check_other_database: Configure) -> None:
        spelt = {"transaction_mode": "immediate", "init_command": "pragma JOURNAL_MODE = wal"}
        assert check_other_database(SQLITE, {**SAFE_SQLITE, **spelt}) == []

    @pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory&cache=shared"])
    def test_a_database_in_memory_is_a_warning(
        self, check_other_database: Configure, name: str
    ) -> None:
        assert ids(check_other_database(SQLITE, {}, name)) == ["durably.W032"]

    def test_nothing_is_said_of_the_database_of_a_test_run(
        self, check_other_database: Configure
    ) -> None:
        name = "file:memorydb_other?mode=memory&cache=shared"
        assert check_other_database(SQLITE, {}, name) == []


class TestMariaDB:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"isolation_level": "read committed"},
            {"isolation_level": "REPEATABLE READ"},
            {"isolation_level": None},
        ],
    )
    def test_a_safe_isolation_level_is_fine(
        self, check_other_database: Configure, options: dict[str, Any]
    ) -> None:
        assert check_other_database(MARIADB, options) == []

    @pytest.mark.parametrize("level", ["serializable", "read uncommitted"])
    def test_an_unsafe_isolation_level_is_an_error(
        self, check_other_database: Configure, level: str
    ) -> None:
        [error] = check_other_database(MARIADB, {"isolation_level": level})
        assert (error.id, error.is_serious()) == ("durably.E035", True)


@pytest.mark.parametrize(("engine", "options"), [(SQLITE, SAFE_SQLITE), (MARIADB, {})])
def test_a_database_that_stores_no_time_zones_needs_use_tz(
    check_other_database: Configure, settings: Any, engine: str, options: dict[str, Any]
) -> None:
    settings.USE_TZ = False
    [error] = check_other_database(engine, options)
    assert (error.id, error.is_serious()) == ("durably.E039", True)
    assert "USE_TZ" in error.msg


def test_an_unknown_kind_of_database_is_an_error(check_other_database: Configure) -> None:
    assert ids(check_other_database("django.db.backends.dummy", {})) == ["durably.E034"]


class TestVersions:
    @pytest.mark.django_db
    def test_the_server_of_the_test_suite_is_new_enough(self) -> None:
        assert checks.check_version("default", connection) == []
        assert checks.check_database_version(None, databases=["default"]) == []

    def test_no_connection_is_opened_unless_databases_are_checked(self, settings: Any) -> None:
        assert checks.check_database_version(None, databases=None) == []
        assert checks.check_database_version(None, databases=["another"]) == []

    @pytest.mark.parametrize(
        ("facts", "expected"),
        [
            ({"vendor": "mysql", "mysql_is_mariadb": False}, ["durably.E036"]),
            (
                {"vendor": "mysql", "mysql_is_mariadb": True, "mysql_version": (10, 5, 99)},
                ["durably.E037"],
            ),
            ({"vendor": "mysql", "mysql_is_mariadb": True, "mysql_version": (10, 6, 0)}, []),
            ({"vendor": "postgresql", "pg_version": 140_012}, ["durably.E038"]),
            ({"vendor": "postgresql", "pg_version": 150_000}, []),
        ],
    )
    def test_an_old_or_unknown_server_is_an_error(
        self, facts: dict[str, Any], expected: list[str]
    ) -> None:
        assert ids(checks.check_version("default", SimpleNamespace(**facts))) == expected


class TestJobs:
    def test_annotations_that_cannot_be_used_are_errors(self, check: Configure) -> None:
        with registry.isolated():

            @job("unusable")
            def unusable(step: Any, input: Opaque) -> "Missing": ...  # type: ignore[name-defined]  # noqa: F821

            messages = check({})
        assert ids(messages) == ["durably.E050", "durably.E050"]
        assert "input annotation of tests.test_checks." in messages[0].msg
        assert "name 'Missing' is not defined" in messages[1].msg
