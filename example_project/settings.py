"""The settings of the example site. What may differ from machine to machine is in the environment:

- `DATABASE_URL`: `postgres://…` or `mysql://…`; without it a SQLite file in `EXAMPLE_FOLDER`
- `REDIS_URL`: a Redis that carries wake-ups between processes
- `EXAMPLE_FOLDER`: where the database and the logs of the demo live
- `DEBUG`: `0` turns it off; `SECRET_KEY` and `ALLOWED_HOSTS` are then needed
"""

import os
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

FOLDER = Path(os.environ.get("EXAMPLE_FOLDER") or Path(__file__).parent / "var").resolve()
FOLDER.mkdir(parents=True, exist_ok=True)

DEBUG = os.environ.get("DEBUG", "1") != "0"
SECRET_KEY = "not a secret: for the demo only" if DEBUG else os.environ["SECRET_KEY"]
INTERNAL_IPS = ["127.0.0.1", "::1"]  # who is told the demo's password
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost 127.0.0.1 [::1]").split()

INSTALLED_APPS = [
    "daphne",  # before staticfiles: its runserver speaks ASGI
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_durably",
    "example_project.airports",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "example_project.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "example_project.urls"
ASGI_APPLICATION = "example_project.asgi.application"
STATIC_URL = "static/"
STATIC_ROOT = FOLDER / "static"
# The React page, once `npm run build` has been called in frontend/.
FRONTEND = Path(__file__).parent / "frontend" / "dist"
STATICFILES_DIRS = [("frontend", FRONTEND)] if FRONTEND.exists() else []
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SQLITE_OPTIONS = {
    # Writers queue up at BEGIN. Without this, two of them can fail with "database is locked".
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # With WAL, readers (the site) and the writer (the worker) do not wait for each other.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}


def database() -> dict[str, Any]:
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{FOLDER}/db.sqlite3"
    try:
        config: dict[str, Any] = {**dj_database_url.parse(url)}
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL: {error}") from error
    if config["ENGINE"] == "django.db.backends.sqlite3":
        config["OPTIONS"] = SQLITE_OPTIONS
    if config["ENGINE"] == "django.db.backends.mysql":
        config["OPTIONS"] = {"charset": "utf8mb4", **config.get("OPTIONS", {})}
    return config


DATABASES = {"default": database()}

DURABLY: dict[str, Any] = {}

if redis_url := os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [redis_url]},
        },
    }
    DURABLY["CHANNEL_LAYER"] = "default"
