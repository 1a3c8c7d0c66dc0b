"""A pytest fixture for a site's tests; loaded by pytest by itself, where pytest-django is."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django_durably.models import Run


class Durably:
    """What the fixture gives: the functions of ``django_durably.testing``."""

    @property
    def run_until_idle(self) -> "Callable[..., int]":
        from django_durably import testing

        return testing.run_until_idle

    @property
    def run_job(self) -> "Callable[..., Run]":
        from django_durably import testing

        return testing.run_job

    @property
    def execute_run(self) -> "Callable[..., Run]":
        from django_durably import testing

        return testing.execute_run


@pytest.fixture
def durably(db: None) -> Durably:
    """Execute durable runs in the test itself: ``durably.run_until_idle()``, ``.run_job(job)``."""
    return Durably()
