"""Real web processes: daphne and uvicorn, on a free port of the loopback interface."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 40
COMMANDS = {
    "daphne": ["daphne", "-b", "127.0.0.1", "-p", "{port}", "{application}"],
    "uvicorn": [
        *("uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--lifespan", "off"),
        *("--timeout-graceful-shutdown", "1", "{application}"),
    ],
}


class WebProcess:
    """One web process: `with WebProcess(log) as web`.

    `durably` replaces the test settings' `DURABLY`, `settings` any others.
    """

    def __init__(
        self,
        log: Path,
        server: str = "daphne",
        durably: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        application: str = "tests.asgi:application",
    ) -> None:
        self._log = log
        self.address = ("127.0.0.1", free_port())
        words = [
            word.format(port=self.address[1], application=application) for word in COMMANDS[server]
        ]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.sse.settings",
                    "DURABLY_TEST_SETTINGS": json.dumps(durably or {}),
                    "DURABLY_TEST_WEB": json.dumps(settings or {}),
                    "PYTHONUNBUFFERED": "1",
                    "PYTHONFAULTHANDLER": "1",
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        try:
            eventually(self._answers_or_ended, START_SECONDS, "the web process did not start")
            assert self.process.poll() is None, f"the web process ended: {self.log}"
        except BaseException:
            self.stop()
            raise
        return self

    def _answers_or_ended(self) -> bool:
        if self.process.poll() is not None:
            return True
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def threads(self) -> int:
        return self._status("Threads")

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return self._status("VmRSS") * 1024

    def _status(self, field: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+)", status, re.MULTILINE)
        assert found is not None
        return int(found[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
