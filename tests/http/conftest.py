from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient, Client

from django_durably import StepContext, job
from django_durably.jobs import registry
from tests.http.asking import Asker


@pytest.fixture(autouse=True)
def _mounts(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.http.urls"


@pytest.fixture(params=["wsgi", "asgi"])
def api(request: pytest.FixtureRequest) -> Asker:
    """The mount where everybody may do everything."""
    return Asker(Client() if request.param == "wsgi" else AsyncClient(), "open")


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def anything() -> Iterator[str]:
    """A job that takes whatever JSON can hold, and gives it back."""
    with registry.isolated():

        @job("anything")
        def anything(step: StepContext, input: Any) -> Any:
            step.log.info("got it", input)  # noqa: PLE1205  not a logger
            return step.run("pass", lambda: input)

        yield "anything"


def permit(user: User, *codenames: str) -> None:
    user.user_permissions.add(
        *Permission.objects.filter(content_type__app_label="durably", codename__in=codenames)
    )
