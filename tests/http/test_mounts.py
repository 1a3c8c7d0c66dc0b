"""The API at several places, each with its own policy."""

import pytest
from django.core.checks.urls import check_url_config
from django.urls import resolve, reverse

from django_durably import DurablyAPI
from django_durably.access import AllowAny
from django_durably.http.urls import ROUTES
from tests.http.asking import Asker

ALL_ROUTES = [*ROUTES, "subscribe", "runs/subscribe"]


@pytest.mark.django_db
def test_each_mount_has_the_policy_that_it_was_given(api: Asker) -> None:
    assert api.at("open").get("runs").status == 200
    assert api.at("default").get("runs").status == 401
    assert api.at("tenants").get("runs").status == 401
    assert api.at("tenants").get("runs", X_Tenant="one").status == 200


@pytest.mark.parametrize("route", ALL_ROUTES)
def test_urls_are_reversed_by_the_mounts_name(route: str) -> None:
    name = route.replace("/", "-")
    assert reverse(f"durably:{name}") == f"/default/{route}"
    assert reverse(f"open:{name}") == f"/open/{route}"
    assert resolve(f"/tenants/{route}").namespace == "tenants"


def test_the_url_configuration_has_no_warnings() -> None:
    assert check_url_config(None) == []


def test_a_class_is_not_taken_for_a_policy() -> None:
    with pytest.raises(TypeError, match="policy must be an instance of Policy"):
        DurablyAPI(policy=AllowAny)  # type: ignore[arg-type]
