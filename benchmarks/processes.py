"""Worker processes under measurement, and what they cost the machine."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django_durably.models import Worker

_START_SECONDS = 60
_STOP_SECONDS = 30
_BARE = "import django, sys; django.setup(); print(flush=True); sys.stdin.read()"


@contextmanager
def workers(*options: str, processes: int = 1) -> Iterator[list[int]]:
    """Run `manage.py run_worker`; the ids of the processes that execute, once all are ready."""
    Worker.objects.all().delete()
    command = [sys.executable, "-m", "django", "run_worker", "--processes", str(processes)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    try:
        yield _ready(process, processes)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(process: "subprocess.Popen[bytes]", count: int) -> list[int]:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"The worker ended with status {process.returncode}")
        pids = list(Worker.objects.values_list("pid", flat=True))
        if len(pids) >= count:
            return pids
        time.sleep(0.02)
    raise RuntimeError(f"The worker was not ready after {_START_SECONDS} s")


@contextmanager
def bare_setup() -> Iterator[int]:
    """A process of the same site that has done `django.setup()` and nothing else."""
    command = [sys.executable, "-c", _BARE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


def is_measurable() -> bool:
    """CPU and memory of other processes are read from Linux's `/proc`."""
    return Path("/proc/self/smaps_rollup").exists()


def cpu_seconds(pid: int) -> float:
    """CPU time that all threads of a process have used, to the nanosecond where Linux tells."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def memory_mib(pid: int) -> float:
    """Resident memory of a process, shared pages included."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    rss = next(line for line in lines if line.startswith("Rss:"))
    return int(rss.split()[1]) / 1024
