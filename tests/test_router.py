from typing import Any

import pytest
from django.contrib.auth.models import User

from django_durably.models import LogEntry, Run, Step
from django_durably.router import DurablyRouter


@pytest.fixture
def router(settings: Any) -> DurablyRouter:
    settings.DURABLY = {"DATABASE": "queue"}
    return DurablyRouter()


@pytest.mark.parametrize("model", [Run, Step, LogEntry])
def test_models_of_the_package_live_on_the_alias_of_the_setting(
    router: DurablyRouter, model: Any
) -> None:
    assert router.db_for_read(model) == "queue"
    assert router.db_for_write(model) == "queue"


def test_nothing_is_said_of_other_models(router: DurablyRouter) -> None:
    assert router.db_for_read(User) is None
    assert router.db_for_write(User) is None
    assert router.allow_migrate("queue", "auth") is None
    assert router.allow_relation(User(), User()) is None


def test_tables_are_made_on_that_alias_alone(router: DurablyRouter) -> None:
    assert router.allow_migrate("queue", "durably", model_name="run") is True
    assert router.allow_migrate("default", "durably", model_name="run") is False


def test_relations_within_the_package_are_allowed(router: DurablyRouter) -> None:
    assert router.allow_relation(Run(), Step()) is True
    assert router.allow_relation(Run(), User()) is None


def test_the_default_alias_needs_no_router_but_may_have_it(settings: Any) -> None:
    settings.DURABLY = {}
    assert DurablyRouter().db_for_write(Run) == "default"
    assert DurablyRouter().allow_migrate("default", "durably") is True
