"""What only a Channels layer does: any thread may publish, and a Redis may restart empty."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from channels.layers import channel_layers
from pytest_django import Settings

from django_durably.wakeups import RUNS, TOPICS, Wakeups, get_wakeups
from django_durably.wakeups import channel_layer as module
from tests.support.waiting import eventually
from tests.wakeups.hearing import Ear, listening

pytestmark = pytest.mark.redis


class Server:
    """A Redis of its own that keeps nothing, to be stopped and started."""

    def __init__(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--save", "", "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        eventually(self.answers)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server on PATH to be restarted")
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def restartable(server: Server, settings: Settings) -> Wakeups:
    use_layer(settings, BACKEND="channels_redis.core.RedisChannelLayer", port=server.port)
    return get_wakeups()


@pytest.fixture
def wakeups(settings: Settings) -> Wakeups:
    settings.DURABLY = {"CHANNEL_LAYER": "redis"}
    return get_wakeups()


def use_layer(settings: Settings, BACKEND: str, port: int) -> None:  # noqa: N803
    config: dict[str, Any] = {"hosts": [f"redis://127.0.0.1:{port}"]}
    settings.CHANNEL_LAYERS = {"own": {"BACKEND": BACKEND, "CONFIG": config}}
    settings.DURABLY = {"CHANNEL_LAYER": "own"}


def test_publishing_works_in_a_running_event_loop(wakeups: Wakeups) -> None:
    async def publish() -> None:
        wakeups.publish(RUNS)

    with listening(wakeups) as ear:
        ear.hears(RUNS, lambda: asyncio.run(publish()))


def test_the_sites_own_use_of_the_layer_is_not_disturbed(wakeups: Wakeups) -> None:
    """Two loops cannot receive on one Redis layer at once."""
    layer = channel_layers["redis"]

    async def converse() -> str:
        channel = await layer.new_channel()
        receiving = asyncio.create_task(layer.receive(channel))
        await layer.send(channel, {"type": "chat.message", "text": "hello"})
        message = await receiving
        await layer.close_pools()
        return str(message["text"])

    with listening(wakeups) as ear:
        assert asyncio.run(converse()) == "hello"
        ear.hears(RUNS, lambda: wakeups.publish(RUNS))


@pytest.mark.process
def test_a_redis_that_was_down_is_joined_again(restartable: Wakeups, server: Server) -> None:
    with listening(restartable) as ear:
        before = dict(ear.calls)
        server.stop()
        restartable.publish(RUNS)
        server.start()

        eventually(lambda: all(ear.calls[topic] > before[topic] for topic in TOPICS), timeout=20)
        ear.hears(RUNS, lambda: restartable.publish(RUNS))


@pytest.mark.process
def test_a_redis_that_forgot_its_groups_is_joined_again(
    restartable: Wakeups, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.2)
    with listening(restartable) as ear:
        before = dict(ear.calls)
        forget = ["redis-cli", "-p", str(server.port), "flushall"]
        subprocess.run(forget, check=True, capture_output=True)

        eventually(lambda: all(ear.calls[topic] > before[topic] for topic in TOPICS))
        ear.hears(RUNS, lambda: restartable.publish(RUNS))


@pytest.mark.process
def test_a_redis_that_is_not_there_hurts_no_caller(
    server: Server, restartable: Wakeups, caplog: pytest.LogCaptureFixture
) -> None:
    server.stop()
    ear = Ear()
    listener = restartable.listen(ear)
    restartable.publish(RUNS)
    eventually(lambda: "the channel layer for wake-ups failed" in caplog.text, timeout=20)
    server.start()
    eventually(lambda: ear.calls[RUNS], timeout=20)
    listener.close()


def test_the_layer_in_memory_serves_one_process(settings: Settings) -> None:
    backend = "channels.layers.InMemoryChannelLayer"
    settings.CHANNEL_LAYERS = {"own": {"BACKEND": backend}}
    settings.DURABLY = {"CHANNEL_LAYER": "own"}
    with listening(get_wakeups()) as ear:
        ear.hears(RUNS, lambda: get_wakeups().publish(RUNS))
