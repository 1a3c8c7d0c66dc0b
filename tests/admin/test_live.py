"""The admin's event streams are open to whom the admin is open."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient
from django.urls import reverse

from django_durably import Run
from tests.sse.authors import in_loop, in_thread
from tests.testapp.jobs import echo

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = reverse("admin:durably_run_live")
RUN = reverse("admin:durably_run_live_one")


def user(*codes: str, is_staff: bool = True) -> User:
    found = User.objects.create_user("ada", is_staff=is_staff)
    found.user_permissions.set(Permission.objects.filter(codename__in=codes))
    return found


async def status(client: AsyncClient, address: str) -> int:
    answer = await client.get(address)
    answer.close()
    return answer.status_code


@in_loop
async def test_strangers_are_refused() -> None:
    run: Run = await in_thread(echo.trigger, {})
    for address in (RUNS, f"{RUN}?runId={run.pk}"):
        assert await status(AsyncClient(), address) == 401


@in_loop
async def test_who_may_not_view_is_refused() -> None:
    run: Run = await in_thread(echo.trigger, {})
    client = AsyncClient()
    await client.aforce_login(await in_thread(user, "cancel_run"))
    assert await status(client, RUNS) == 403
    assert await status(client, f"{RUN}?runId={run.pk}") == 404


@in_loop
async def test_who_is_not_staff_is_refused() -> None:
    client = AsyncClient()
    await client.aforce_login(await in_thread(user, "view_run", is_staff=False))
    assert await status(client, RUNS) == 401


@in_loop
async def test_viewers_hear_of_a_finished_run() -> None:
    run: Run = await in_thread(echo.trigger, {})
    await in_thread(run.cancel)
    client = AsyncClient()
    await client.aforce_login(await in_thread(user, "view_run"))
    answer = await client.get(f"{RUN}?runId={run.pk}")
    assert answer.status_code == 200
    text = b"".join([part async for part in answer.streaming_content])  # type: ignore[attr-defined]
    assert b"run:cancel" in text
