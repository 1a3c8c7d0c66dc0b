"""Many subscriptions on one connection, as a real web process serves them."""

import json
import uuid

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from websockets.exceptions import InvalidStatus

from tests.sse.authors import Author, in_loop, in_thread
from tests.sse.conftest import StartWeb
from tests.sse.servers import WebProcess
from tests.websocket.conftest import APPLICATION
from tests.websocket.pages import page

pytestmark = [pytest.mark.process]

NOT_AUTHENTICATED, COME_BACK = 4401, 4012


def types(messages: list[dict[str, object]]) -> list[object]:
    return [message["event"]["type"] for message in messages]  # type: ignore[index]


@in_loop
async def test_a_run_is_followed_to_its_end(web: WebProcess) -> None:
    author = await in_thread(Author, {"a": "🛫"}, labels={"org": "1"})
    async with page(web) as socket:
        opened = await socket.subscribe("mine", runId=author.id)
        assert opened.pop("eventId").isdigit()
        assert opened == {"type": "subscribed", "id": "mine", "resumed": False}
        await in_thread(lambda: author.lease().log("x", "ä" * 70_000).complete({"count": 0}))
        leased, log, complete = await socket.events(3)
        assert leased["id"] == "mine"
        assert leased["event"] == {
            "type": "run:leased",
            "runId": author.id,
            "jobName": "echo",
            "labels": {"org": "1"},
            "input": {"a": "🛫"},
        }
        assert log["event"]["data"] == "ä" * 70_000
        assert complete["event"]["output"] == {"count": 0}
        assert await socket.hear() == {"type": "ended", "id": "mine"}


@in_loop
async def test_many_subscriptions_share_a_connection(web: WebProcess) -> None:
    one, other = await in_thread(Author, labels={"org": "1"}), await in_thread(Author)
    async with page(web) as socket:
        await socket.subscribe("one", runId=one.id)
        await socket.subscribe("org", labels={"org": "1"})
        await socket.subscribe("jobs", jobName=["echo", "add-in-steps"])
        await socket.subscribe("none", jobName="add-in-steps")
        await in_thread(lambda: other.lease().complete())
        heard = await socket.events(2)
        assert [message["id"] for message in heard] == ["jobs", "jobs"]
        await in_thread(lambda: one.lease().complete())
        heard = [await socket.hear() for _ in range(7)]
        by_id = {
            id_: [m["type"] for m in heard if m["id"] == id_] for id_ in ("one", "org", "jobs")
        }
        assert by_id == {
            "one": ["event", "event", "ended"],
            "org": ["event", "event"],
            "jobs": ["event", "event"],
        }


@in_loop
async def test_a_subscription_ends_when_the_page_says_so(web: WebProcess) -> None:
    author = await in_thread(Author)
    async with page(web) as socket:
        await socket.subscribe("a")
        await socket.say(type="unsubscribe", id="a")
        assert await socket.hear() == {"type": "unsubscribed", "id": "a"}
        await socket.subscribe("b", runId=author.id)
        await in_thread(author.lease)
        [event] = await socket.events(1)
        assert event["id"] == "b"
        await socket.subscribe("a")
        await in_thread(author.log, "x")
        assert {message["id"] for message in await socket.events(2)} == {"a", "b"}


@in_loop
async def test_a_page_that_comes_back_gets_what_it_missed(web: WebProcess) -> None:
    author = await in_thread(lambda: Author().lease())
    async with page(web) as socket:
        await socket.subscribe(runId=author.id)
        [leased] = await socket.events(1)
    await in_thread(lambda: author.log("1").log("2"))
    async with page(web) as socket:
        opened = await socket.subscribe(runId=author.id, lastEventId=leased["eventId"])
        assert opened["resumed"]
        heard = await socket.events(2)
        assert [message["event"]["message"] for message in heard] == ["1", "2"]
        last = heard[-1]["eventId"]
    await in_thread(author.complete)
    async with page(web) as socket:
        assert (await socket.subscribe(runId=author.id, lastEventId=last))["resumed"]
        [end] = await socket.events(1)
        assert end["event"]["type"] == "run:complete"
        assert (await socket.hear())["type"] == "ended"
        opened = await socket.subscribe(runId=author.id, lastEventId=end["eventId"])
        assert opened["resumed"]
        assert (await socket.hear())["type"] == "ended"
        assert not (await socket.subscribe(runId=author.id, lastEventId="nonsense"))["resumed"]
        assert types(await socket.events(1)) == ["run:complete"]


@in_loop
async def test_a_late_page_gets_the_present_state(web: WebProcess) -> None:
    author = await in_thread(lambda: Author().lease().progress(3))
    async with page(web) as socket:
        await socket.subscribe(runId=author.id)
        assert types(await socket.events(2)) == ["run:leased", "run:progress"]


@in_loop
async def test_what_cannot_be_is_refused_and_the_connection_stays(web: WebProcess) -> None:
    unknown = str(uuid.uuid4())
    async with page(web) as socket:
        await socket.subscribe("taken")
        for said, id_, status, error in [
            ("[]", None, 400, "must be an object"),
            ("{", None, 400, "not valid JSON"),
            ("{}", None, 400, "id must be a string"),
            ('{"id": 5}', None, 400, "id must be a string"),
            ('{"id": "a"}', "a", 400, "type must be"),
            ('{"id": "a", "type": "x"}', "a", 400, "type must be"),
            ('{"id": "a", "type": "subscribe", "runId": 5}', "a", 400, "runId"),
            ('{"id": "a", "type": "subscribe", "runId": "x"}', "a", 404, "Run not found"),
            (f'{{"id": "a", "type": "subscribe", "runId": "{unknown}"}}', "a", 404, "not found"),
            ('{"id": "a", "type": "subscribe", "jobName": 5}', "a", 400, "jobName"),
            ('{"id": "a", "type": "subscribe", "jobName": [5]}', "a", 400, "jobName"),
            ('{"id": "a", "type": "subscribe", "labels": []}', "a", 400, "labels"),
            ('{"id": "a", "type": "subscribe", "labels": {"ä": "1"}}', "a", 400, "label key"),
            ('{"id": "a", "type": "subscribe", "labels": {"a": 1}}', "a", 400, "label"),
            ('{"id": "a", "type": "unsubscribe"}', "a", 404, "no subscription 'a'"),
            ('{"id": "taken", "type": "subscribe"}', "taken", 409, "already"),
            (json.dumps({"id": "x" * 70_000}), None, 400, "at most"),
        ]:
            await socket.connection.send(said)
            heard = await socket.hear()
            assert (heard["type"], heard["id"], heard["status"]) == ("error", id_, status), said
            assert error in heard["error"]
        await socket.connection.send(b"bytes")
        assert (await socket.hear())["status"] == 400
        assert (await socket.subscribe("a"))["type"] == "subscribed"


@in_loop
async def test_a_connection_has_only_so_many_subscriptions(web: WebProcess) -> None:
    async with page(web) as socket:
        for number in range(100):
            assert (await socket.subscribe(str(number)))["type"] == "subscribed"
        assert (await socket.subscribe("one more"))["status"] == 409


@in_loop
async def test_a_policy_hides_what_is_not_for_this_page(web: WebProcess) -> None:
    theirs = await in_thread(Author, labels={"tenant": "2"})
    async with page(web, "tenants", {"X-Tenant": "1"}) as socket:
        assert (await socket.subscribe(runId=theirs.id))["status"] == 404
        await socket.subscribe("all")
        await socket.subscribe("theirs", labels={"tenant": "2"})
        await in_thread(Author, labels={"tenant": "2"})
        mine = await in_thread(Author, labels={"tenant": "1"})
        [event] = await socket.events(1)
        assert (event["id"], event["event"]["runId"]) == ("all", mine.id)
        with pytest.raises(TimeoutError):
            await socket.hear(timeout=0.3)


@in_loop
async def test_strangers_are_told_why(web: WebProcess) -> None:
    async with page(web, "tenants") as socket:
        assert [message async for message in socket.until_closed()] == []
    assert socket.code == NOT_AUTHENTICATED


@in_loop
async def test_django_s_users_and_permissions_count_by_default(web: WebProcess) -> None:
    def log_in(*permissions: str) -> dict[str, str]:
        user = User.objects.create_user(f"user-{len(permissions)}")
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        return {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}

    author = await in_thread(Author)
    async with page(web, "ws/durably", await in_thread(log_in, "view_run")) as socket:
        assert (await socket.subscribe(runId=author.id))["type"] == "subscribed"
    async with page(web, "ws/durably", await in_thread(log_in)) as socket:
        assert (await socket.subscribe(runId=author.id))["status"] == 404
        assert (await socket.subscribe())["status"] == 403
    async with page(web, "ws/durably") as socket:
        assert [message async for message in socket.until_closed()] == []
    assert socket.code == NOT_AUTHENTICATED


@pytest.mark.parametrize(
    ("headers", "admitted"),
    [
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://127.0.0.1:{port}"}, True),
        ({"Origin": "https://127.0.0.1:{port}"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({}, True),
    ],
)
@in_loop
async def test_pages_of_other_sites_are_refused(
    web: WebProcess, headers: dict[str, str], admitted: bool
) -> None:
    port = str(web.address[1])
    sent = {name: value.replace("{port}", port) for name, value in headers.items()}
    if admitted:
        async with page(web, headers=sent) as socket:
            assert (await socket.subscribe())["type"] == "subscribed"
    else:
        with pytest.raises(InvalidStatus):
            async with page(web, headers=sent):
                pass


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
@pytest.mark.parametrize("limit", [{"STREAM_SECONDS": 0.5}, {"STREAM_MAX_BYTES": 5000}])
@in_loop
async def test_a_connection_ends_in_time_and_the_page_resumes(
    start_web: StartWeb, server: str, limit: dict[str, float]
) -> None:
    web = start_web(application=APPLICATION, server=server, durably=limit)
    author = await in_thread(lambda: Author().lease())
    heard: list[str] = []
    codes: list[int] = []
    last = None
    while not (len(heard) == 40 and codes):
        async with page(web) as socket:
            await socket.say(type="subscribe", id="a", runId=author.id, lastEventId=last)
            async for message in socket.until_closed():
                if message["type"] == "subscribed" and last is None:
                    await in_thread(log_many, author)
                last = message["eventId"]
                if "message" in message.get("event", {}):
                    heard.append(message["event"]["message"])
                if len(heard) == 40 and codes:
                    break
            else:
                codes.append(socket.code)
    assert heard == [str(number) for number in range(40)]
    assert set(codes) == {COME_BACK}


def log_many(author: Author) -> None:
    for number in range(40):
        author.log(str(number), "x" * 500)
