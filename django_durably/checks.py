"""System checks: what is wrong with a project's settings is said before it hurts.

The ids are stable, and listed in the reference of the settings. 001 to 029 are about `DURABLY`
(one id for each setting), 030 to 049 about databases, 050 and up about the rest of a project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Final

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.module_loading import import_string

from django_durably import conf, labels
from django_durably.jobs import registry
from django_durably.jobs.definition import Definition, qualified_name
from django_durably.jobs.schema import Typed

TAG: Final = "durably"
"""`manage.py check --tag durably` runs these checks alone."""

APP: Final = "django_durably"
POLICY: Final = "django_durably.access.Policy"
ALLOW_ANY: Final = "django_durably.access.AllowAny"
LEAST_SQLITE_TIMEOUT: Final = 5
LEAST_MARIADB: Final = (10, 6)
LEAST_POSTGRESQL: Final = 15

IDS: Final = {
    conf.SETTING: "durably.E001",
    "LEASE_SECONDS": "durably.E003",
    "LEASE_RENEW_SECONDS": "durably.E004",
    "POLL_SECONDS": "durably.E005",
    "CONCURRENCY": "durably.E006",
    "PRESERVE_STEPS": "durably.E007",
    "RETAIN_RUNS": "durably.E008",
    "DATABASE": "durably.E009",
    "POLICY": "durably.E010",
    "LABELS": "durably.E011",
    "PROGRESS_THROTTLE_MS": "durably.E012",
    "MAX_BODY_BYTES": "durably.E013",
    "EVENT_RETENTION": "durably.E014",
    "MAX_CRASHES": "durably.E015",
    "STREAM_SECONDS": "durably.E016",
    "STREAM_MAX_BYTES": "durably.E017",
    "CHANNEL_LAYER": "durably.E018",
}
"""The id of the error about each setting; about `DURABLY` itself, not a dictionary or with an
unknown name in it, `durably.E001`."""

SQLITE_OPTIONS: Final = """"OPTIONS": {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}"""

_SAFE_ISOLATION: Final = (None, "read committed", "repeatable read")

AppConfigs = Sequence[AppConfig] | None


@register(TAG)
def check_settings(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """Each setting by itself, and what it names in the rest of the project."""
    settings, problems = _inspect()
    wrong = {problem.setting for problem in problems}
    problems += [problem for problem in _unresolved(settings) if problem.setting not in wrong]
    return [Error(problem.message, problem.hint, id=IDS[problem.setting]) for problem in problems]


@register(TAG)
def check_installed(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """The app itself is installed, once."""
    if [config.name for config in apps.get_app_configs()].count(APP) == 1:
        return []
    return [Error(f"{APP!r} must be in INSTALLED_APPS, once.", id="durably.E019")]


@register(TAG)
def check_routing(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """Runs are read, written and migrated on the alias that `DATABASE` names."""
    alias = _inspect()[0].database
    if alias not in connections or not apps.is_installed(APP):
        return []
    return [*_check_router(alias), *_check_transactions(alias)]


@register(TAG)
def check_database_options(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """The options of the database suit leases; no connection is opened to find out."""
    alias = _inspect()[0].database
    if alias not in connections:
        return []
    connection = connections[alias]
    match connection.vendor:
        case "sqlite":
            return [*_check_sqlite(alias, connection), *_check_time_zone(alias)]
        case "mysql":
            return [*_check_isolation(alias, connection), *_check_time_zone(alias)]
        case "postgresql":
            return []
        case vendor:
            message = f"The database {alias!r} ({vendor}) is not supported."
            hint = "SQLite, PostgreSQL and MariaDB are."
            return [Error(message, hint, id="durably.E034")]


@register(TAG, Tags.database)
def check_database_version(
    app_configs: AppConfigs, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The server is new enough; only when a command checks databases, as `migrate` does."""
    alias = _inspect()[0].database
    if alias not in (databases or ()):
        return []
    return check_version(alias, connections[alias])


def check_version(alias: str, connection: Any) -> list[CheckMessage]:
    """What is wrong with the version of the server behind `connection`."""
    if connection.vendor == "mysql" and not connection.mysql_is_mariadb:
        message = f"The database {alias!r} is MySQL, which is not supported: MariaDB is."
        return [Error(message, id="durably.E036")]
    if connection.vendor == "mysql" and connection.mysql_version < LEAST_MARIADB:
        message = f"The database {alias!r} must be MariaDB {_dotted(LEAST_MARIADB)} or later."
        return [Error(message, "Older ones lack SKIP LOCKED.", id="durably.E037")]
    if connection.vendor == "postgresql" and connection.pg_version < LEAST_POSTGRESQL * 10_000:
        message = f"The database {alias!r} must be PostgreSQL {LEAST_POSTGRESQL} or later."
        return [Error(message, id="durably.E038")]
    return []


@register(TAG)
def check_jobs(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """The annotations of every job can be used as schemas."""
    return [message for definition in registry.all_jobs() for message in _check_job(definition)]


@register(TAG, deploy=True)
def check_policy(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """The HTTP API of a deployed site is not open to everybody."""
    if _inspect()[0].policy != ALLOW_ANY:
        return []
    message = "DURABLY['POLICY'] is AllowAny: whoever reaches the API may trigger and delete runs."
    hint = f"Use {conf.DEFAULT_POLICY}, or a policy of your own."
    return [checks.Warning(message, hint, id="durably.W051")]


def _inspect() -> tuple[conf.Settings, list[conf.Problem]]:
    return conf.inspect(getattr(django_settings, conf.SETTING, {}))


def _unresolved(settings: conf.Settings) -> Iterator[conf.Problem]:
    """What settings name that is not there."""
    if settings.database not in connections:
        known = ", ".join(connections)
        message = f"DURABLY['DATABASE'] names no alias of DATABASES: {settings.database!r}."
        yield conf.Problem("DATABASE", message, f"There are {known}.")
    for name, resolve in (("POLICY", _resolve_policy), ("LABELS", _resolve_labels)):
        try:
            resolve(settings)
        except (ImportError, ImproperlyConfigured) as error:
            yield conf.Problem(name, f"DURABLY[{name!r}] cannot be used: {error}")
    if settings.channel_layer is not None:
        yield from _unresolved_channel_layer(settings.channel_layer)


def _resolve_policy(settings: conf.Settings) -> None:
    if settings.policy == conf.DEFAULT_POLICY:
        return
    policy, parent = import_string(settings.policy), import_string(POLICY)
    if not (isinstance(policy, type) and issubclass(policy, parent)):
        raise ImproperlyConfigured(f"{settings.policy} is not a subclass of {POLICY}")


def _resolve_labels(settings: conf.Settings) -> None:
    if settings.labels is not None:
        labels.load_schema(settings.labels)


def _unresolved_channel_layer(alias: str) -> Iterator[conf.Problem]:
    if find_spec("channels") is None:
        message = "DURABLY['CHANNEL_LAYER'] needs the package channels."
        yield conf.Problem("CHANNEL_LAYER", message, "Install channels and channels-redis.")
    elif alias not in getattr(django_settings, "CHANNEL_LAYERS", {}):
        message = f"DURABLY['CHANNEL_LAYER'] names no alias of CHANNEL_LAYERS: {alias!r}."
        yield conf.Problem("CHANNEL_LAYER", message)


def _check_router(alias: str) -> Iterator[CheckMessage]:
    run = apps.get_model("durably", "Run")
    if router.db_for_write(run) != alias or not router.allow_migrate_model(alias, run):
        message = f"The database routers do not keep runs on the database {alias!r}."
        hint = "Put 'django_durably.router.DurablyRouter' first in DATABASE_ROUTERS."
        yield Error(message, hint, id="durably.E030")


def _check_transactions(alias: str) -> Iterator[CheckMessage]:
    if alias != DEFAULT_DB_ALIAS:
        message = f"A trigger is part of a transaction on the database {alias!r} only."
        hint = (
            f"A run stays when a transaction on another database rolls back. Open a transaction on "
            f"{alias!r}, or silence this where it does not matter."
        )
        yield checks.Warning(message, hint, id="durably.W031")


def _check_sqlite(alias: str, connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    name, options = str(connection.settings_dict["NAME"]), connection.settings_dict["OPTIONS"]
    if name.startswith("file:memorydb_"):  # Django's own name for the database of a test run
        return
    if name == ":memory:" or "mode=memory" in name:
        message = f"The database {alias!r} is in memory, where no worker process can see it."
        yield checks.Warning(message, "Use a file.", id="durably.W032")
        return
    for problem in _sqlite_problems(options):
        hint = f"Set, in DATABASES[{alias!r}]:\n{SQLITE_OPTIONS}"
        yield checks.Warning(f"The SQLite database {alias!r} {problem}.", hint, id="durably.W033")


def _sqlite_problems(options: dict[str, Any]) -> Iterator[str]:
    if str(options.get("transaction_mode")).upper() != "IMMEDIATE":
        yield "does not begin transactions as IMMEDIATE, so that writers collide in their midst"
    if "journal_mode=wal" not in str(options.get("init_command", "")).lower().replace(" ", ""):
        yield "is not set to WAL, so that readers and the worker lock each other out"
    if options.get("timeout", LEAST_SQLITE_TIMEOUT) < LEAST_SQLITE_TIMEOUT:
        yield f"waits less than {LEAST_SQLITE_TIMEOUT} seconds for a lock"


def _check_time_zone(alias: str) -> Iterator[CheckMessage]:
    """PostgreSQL stores times with their zone; the others refuse them without USE_TZ."""
    if not django_settings.USE_TZ:
        message = f"USE_TZ must be True: the database {alias!r} cannot store times with their zone."
        yield Error(message, "Set USE_TZ = True.", id="durably.E039")


def _check_isolation(alias: str, connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    level = connection.settings_dict["OPTIONS"].get("isolation_level", "read committed")
    if (level.lower() if isinstance(level, str) else level) not in _SAFE_ISOLATION:
        message = f"The isolation level of the database {alias!r} makes leases unsafe: {level!r}."
        hint = "Leave 'isolation_level' out of its OPTIONS, or set it to 'read committed'."
        yield Error(message, hint, id="durably.E035")


def _check_job(definition: Definition) -> Iterator[CheckMessage]:
    for schema in (definition.input, definition.output):
        try:
            if isinstance(schema, Typed):
                schema.adapter  # noqa: B018  building it is the check
        except ImproperlyConfigured as error:
            yield Error(str(error), obj=qualified_name(definition.func), id="durably.E050")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
