"""Which of the real servers answer, found out by talking to them.

`python -m tests.support.databases NAME ...` prints what each says, and exits 1 if one is silent.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

PATIENCE_SECONDS = 3
DATABASES = ("sqlite", "postgresql", "mariadb")


class Unavailable(Exception):
    """A server or program is not there; its text says why, for a person."""


@dataclass(frozen=True)
class Service:
    """A real part that tests use, and how to find out whether it is there."""

    name: str
    variable: str
    default: str
    ask: Callable[[str], str]

    @property
    def url(self) -> str:
        return os.environ.get(self.variable) or self.default

    def version(self) -> str:
        """What it says its version is; raises `Unavailable`."""
        return self.ask(self.url)


@dataclass(frozen=True)
class Answer:
    """One service's answer: a version, or the reason why there is none."""

    name: str
    version: str = ""
    problem: str = ""

    @property
    def there(self) -> bool:
        return not self.problem


def chosen() -> str:
    """The database of this test process; raises `LookupError` for an unknown one."""
    name = os.environ.get("DURABLY_TEST_DATABASE") or "sqlite"
    if name not in DATABASES:
        raise LookupError(f"DURABLY_TEST_DATABASE={name!r} must be one of {', '.join(DATABASES)}")
    return name


def answer(name: str) -> Answer:
    """Asks one service for its version."""
    try:
        return Answer(name, version=SERVICES[name].version())
    except Unavailable as reason:
        return Answer(name, problem=str(reason))


def _sqlite(_url: str) -> str:
    import sqlite3

    return sqlite3.sqlite_version


def _postgresql(url: str) -> str:
    try:
        import psycopg
    except ImportError as error:
        raise Unavailable(f"psycopg is not installed: {error}") from error
    try:
        with psycopg.connect(url, dbname="postgres", connect_timeout=PATIENCE_SECONDS) as link:
            return str(link.info.parameter_status("server_version")).split()[0]
    except psycopg.Error as error:
        raise Unavailable(_one_line(error)) from error


def _mariadb(url: str) -> str:
    try:
        import MySQLdb
    except ImportError as error:
        raise Unavailable(
            f"mysqlclient is not installed ({error}); "
            "its build needs default-libmysqlclient-dev, pkg-config and a C compiler"
        ) from error
    parts = urlsplit(url)
    try:
        link = MySQLdb.connect(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 3306,
            user=unquote(parts.username or "root"),
            password=unquote(parts.password or ""),
            connect_timeout=PATIENCE_SECONDS,
        )
    except MySQLdb.Error as error:
        raise Unavailable(_one_line(error)) from error
    try:
        return str(link.get_server_info())
    finally:
        link.close()


def _redis(url: str) -> str:
    try:
        import redis
    except ImportError as error:
        raise Unavailable(f"the redis client is not installed: {error}") from error
    link = redis.Redis.from_url(url, socket_connect_timeout=PATIENCE_SECONDS)
    try:
        return str(link.info("server")["redis_version"])
    except redis.RedisError as error:
        raise Unavailable(_one_line(error)) from error
    finally:
        link.close()


def chromium_program() -> str:
    """The path of the browser that tests drive; raises `Unavailable`."""
    wanted = CHROMIUM.url
    for name in (wanted, "chromium-browser", "google-chrome"):
        if program := shutil.which(name):
            return program
    raise Unavailable(f"no {wanted} on PATH")


def _chromium(_name: str) -> str:
    program = chromium_program()
    try:
        import playwright  # noqa: F401
    except ImportError as error:
        raise Unavailable(f"playwright is not installed: {error}") from error
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if shown.returncode:
        raise Unavailable(f"{program} --version exits {shown.returncode}: {shown.stderr.strip()}")
    return shown.stdout.strip()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


SQLITE = Service("sqlite", "", "", _sqlite)
POSTGRESQL = Service(
    "postgresql",
    "DURABLY_TEST_POSTGRESQL_URL",
    "postgresql://postgres@127.0.0.1:5432/",
    _postgresql,
)
MARIADB = Service("mariadb", "DURABLY_TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306/", _mariadb)
REDIS = Service("redis", "DURABLY_TEST_REDIS_URL", "redis://127.0.0.1:6379/", _redis)
CHROMIUM = Service("chromium", "DURABLY_TEST_CHROMIUM", "chromium", _chromium)
SERVICES = {service.name: service for service in (SQLITE, POSTGRESQL, MARIADB, REDIS, CHROMIUM)}


def main(names: list[str]) -> int:
    answers = [answer(name) for name in names or SERVICES]
    for each in answers:
        print(f"{each.name}: {each.version or each.problem}")  # noqa: T201
    return 0 if all(each.there for each in answers) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
