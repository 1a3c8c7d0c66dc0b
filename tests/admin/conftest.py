"""Users with some of the permissions, and their sessions."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

Login = Callable[..., Client]


@pytest.fixture
def login(db: None) -> Login:
    """A staff member with these permissions of `durably`: `login("view", "cancel")`."""

    def login(*verbs: str, name: str = "ada") -> Client:
        user = User.objects.create_user(name, is_staff=True)
        codes = [f"{verb}_run" for verb in verbs]
        user.user_permissions.set(Permission.objects.filter(codename__in=codes))
        client = Client()
        client.force_login(user)
        return client

    return login


@pytest.fixture
def admin(login: Login) -> Client:
    """May do everything with runs."""
    return login("view", "trigger", "cancel", "delete")
