"""The settings of the test suite, for one database per process.

`DURABLY_TEST_DATABASE` chooses it: sqlite (default), postgresql or mariadb. Processes that a test
starts inherit `DURABLY_TEST_NAME`, and so work on the same test database.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import dj_database_url

from tests.support import databases

# One name for a test run and its child processes, so that two runs at once do not meet.
NAME = os.environ.setdefault("DURABLY_TEST_NAME", f"test_durably_{os.getpid()}")


def sqlite(name: str) -> dict[str, Any]:
    """A file, because `:memory:` knows neither WAL nor a second process."""
    path = Path(tempfile.gettempdir(), "durably-tests", f"{name}.sqlite3")
    path.parent.mkdir(exist_ok=True)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        "TEST": {"NAME": str(path)},
    }


def postgresql(name: str) -> dict[str, Any]:
    return {**_server(databases.POSTGRESQL), "NAME": name, "TEST": {"NAME": name}}


def mariadb(name: str) -> dict[str, Any]:
    return {
        **_server(databases.MARIADB),
        "NAME": name,
        "OPTIONS": {"charset": "utf8mb4"},
        "TEST": {"NAME": name, "CHARSET": "utf8mb4"},
    }


def _server(service: databases.Service) -> dict[str, Any]:
    return {**dj_database_url.parse(service.url)}


DATABASE = {"sqlite": sqlite, "postgresql": postgresql, "mariadb": mariadb}[databases.chosen()]
DATABASES = {"default": DATABASE(NAME)}

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
USE_TZ = True
# Not UTC, so that a time zone forgotten somewhere shows.
TIME_ZONE = "America/New_York"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
ROOT_URLCONF = "tests.urls"
ASGI_APPLICATION = "tests.asgi.application"

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_durably",
    "example_project.airports",
    "tests.testapp",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Names its own layer, never "default": only tests marked `redis` use it.
CHANNEL_LAYERS = {
    "redis": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [databases.REDIS.url], "prefix": NAME},
    },
}

# What a test asks of the processes that it starts.
DURABLY: dict[str, Any] = json.loads(os.environ.get("DURABLY_TEST_SETTINGS", "{}"))
