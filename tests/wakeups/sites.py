"""Two sides of one site that wake each other: this process, and another that it starts."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connections

from django_durably.conf import get_settings
from django_durably.wakeups import Wakeups, close_wakeups, get_wakeups
from tests.support import databases
from tests.support.waiting import eventually

SCRIPT = "import django; django.setup(); from tests.wakeups import sites; sites.obey()"
CHANNEL_LAYER = "WAKEUPS_CHANNEL_LAYER"


def make(channel_layer: str) -> Wakeups:
    """This process's wake-ups, on the layer of that name, or if empty on the database."""
    settings.DURABLY = {"CHANNEL_LAYER": channel_layer or None}
    get_settings.cache_clear()
    close_wakeups()
    return get_wakeups()


def hint(wakeups: Wakeups, *topics: str) -> None:
    """What a caller does after its commit. On SQLite the commit itself is the hint."""
    if databases.chosen() == "sqlite":
        with connections["default"].cursor() as cursor:
            (version,) = cursor.execute("PRAGMA user_version").fetchone()
            cursor.execute(f"PRAGMA user_version = {version + 1}")
    wakeups.publish(*topics)


def obey() -> None:
    """In the other process: publishes what each line of the standard input says."""
    wakeups = make(os.environ[CHANNEL_LAYER])
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        for topics in line.split():
            hint(wakeups, *topics.split(","))


@dataclass
class OtherProcess:
    """Another process of the site, as started by `other_process`."""

    process: "subprocess.Popen[str]"

    def publishes(self, topics: str) -> None:
        """Publishes words of topics with commas, one word after the other."""
        assert self.process.stdin is not None
        print(topics, file=self.process.stdin, flush=True)

    def ends(self) -> None:
        """Lets it come to its end, and waits for that."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0


@contextmanager
def other_process(channel_layer: str) -> Iterator[OtherProcess]:
    environment = {**os.environ, CHANNEL_LAYER: channel_layer}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert eventually(process.stdout.readline).strip() == "ready"
            yield OtherProcess(process)
        finally:
            process.kill()
