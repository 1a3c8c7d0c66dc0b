"""How long from `step.progress()` in a worker until a client of the web process has the event.

`python -m benchmarks.streams` measures on every database that answers. Worker, web process (daphne)
and client are three processes on this machine. The progress of one run is reported more slowly
than it is throttled, so that no event waits for another; where the web process polls, several
arrive together and the throttle lets through the first and the last of them.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django

from tests.support import databases

JOB = "report-times"
LEAST_PAUSE = 0.11
MOST_PAUSE = 0.21


def main() -> int:
    options = _options()
    for name in options.database or databases.DATABASES:
        answer = databases.answer(name)
        if not answer.there:
            print(f"{name} is left out: {answer.problem}", file=sys.stderr)
            continue
        ways = [("", {})] if name != "mariadb" else [("", {}), (" with Redis", WITH_REDIS)]
        for way, durably in ways:
            for streams in (1, options.streams):
                milliseconds = _measure(name, options.reports, streams, durably)
                print(f"{name}{way}, {streams} open streams: {_described(milliseconds)}")
    return 0


WITH_REDIS = {"CHANNEL_LAYER": "redis"}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--reports", type=int, default=200, help="how many are measured")
    parser.add_argument("--streams", type=int, default=200, help="how many clients in the second")
    parser.add_argument("--database", action="append", choices=databases.DATABASES)
    return parser.parse_args()


def _described(milliseconds: list[float]) -> str:
    ordered = sorted(milliseconds)
    return (
        f"p50 {ordered[len(ordered) // 2]:.1f} ms, "
        f"p99 {ordered[int(len(ordered) * 0.99)]:.1f} ms, "
        f"longest {ordered[-1]:.1f} ms of {len(ordered)}"
    )


def _measure(database: str, reports: int, streams: int, durably: dict[str, Any]) -> list[float]:
    """In a process of its own: Django's settings know one database each."""
    command = [sys.executable, "-c", "from benchmarks import streams; streams.session()"]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.sse.settings",
        "DURABLY_TEST_DATABASE": database,
        "DURABLY_TEST_NAME": f"durably_streams_{os.getpid()}",
        "DURABLY_TEST_SETTINGS": json.dumps(durably),
    }
    asked = json.dumps([reports, streams, durably])
    done = subprocess.run(
        [*command, asked], env=environment, stdout=subprocess.PIPE, check=True, text=True
    )
    answer: list[float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def session() -> None:
    """One measurement, in the process that `_measure` starts."""
    reports, streams, durably = json.loads(sys.argv[1])
    django.setup()
    from django.test.utils import setup_databases, teardown_databases

    made = setup_databases(verbosity=0, interactive=False)
    try:
        with tempfile.TemporaryDirectory() as folder:
            milliseconds = _with_processes(Path(folder), reports, streams, durably)
    finally:
        from django_durably.wakeups import close_wakeups

        close_wakeups()
        teardown_databases(made, verbosity=0)
    print(json.dumps(milliseconds))


def _with_processes(
    folder: Path, reports: int, streams: int, durably: dict[str, Any]
) -> list[float]:
    from tests.sse.servers import WebProcess

    define_job()
    with WebProcess(folder / "web.log", durably=durably) as web, _worker(folder / "worker.log"):
        return asyncio.run(_listen(web.address, reports, streams))


async def _listen(address: tuple[str, int], reports: int, streams: int) -> list[float]:
    from tests.sse.client import open_stream

    async def open_one() -> Any:
        stream = await open_stream(address, "/api/runs/subscribe")
        await stream.until("stream-open", timeout=60)
        return stream

    opened = [await open_one() for _ in range(streams)]
    measured, *others = opened
    idle = [asyncio.create_task(_drain(each)) for each in others]
    await asyncio.to_thread(_trigger, reports)
    milliseconds = []
    while (event := (await measured.events(1))[0].data)["type"] != "run:complete":
        if event["type"] == "run:progress":
            began = int(event["progress"]["message"])
            milliseconds.append((time.monotonic_ns() - began) / 1e6)
    for task in idle:
        task.cancel()
    return milliseconds


async def _drain(stream: Any) -> None:
    async for _ in stream.messages():
        pass


def _trigger(reports: int) -> None:
    from django.db import connections

    from django_durably.jobs import registry
    from django_durably.operations import triggers

    triggers.trigger(triggers.make_request(registry.get(JOB), reports))
    connections.close_all()


def define_job() -> None:
    from django_durably import StepContext, job

    @job(JOB)
    def report_times(step: StepContext, input: int) -> None:
        dice = random.Random(1)
        for number in range(input):
            step.signal.wait(dice.uniform(LEAST_PAUSE, MOST_PAUSE))
            step.progress(number, message=str(time.monotonic_ns()))


@contextmanager
def _worker(log: Path) -> Iterator[None]:
    command = [sys.executable, "-c", "from benchmarks import streams; streams.work()"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    except TimeoutError:
        print(log.read_text(), file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait(30)


def work() -> None:
    """The worker, in a process of its own."""
    django.setup()
    define_job()
    from django.core.management import call_command

    call_command("run_worker", job=[JOB])


if __name__ == "__main__":
    sys.exit(main())
