"""The settings of a benchmark's processes: the suite's database, and every default of Durably."""

from typing import Any

from tests import settings as suite

DATABASES = suite.DATABASES
DEFAULT_AUTO_FIELD = suite.DEFAULT_AUTO_FIELD
SECRET_KEY = suite.SECRET_KEY
USE_TZ = suite.USE_TZ

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_durably",
    "benchmarks",
]
DURABLY: dict[str, Any] = {}
