"""The example site as real processes: a web server and workers, on a database of their own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 40


class Site:
    """Started by `start()`; `url` is where it answers."""

    def __init__(self, folder: Path, database_url: str = "") -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
            "DATABASE_URL": database_url,
            "EXAMPLE_FOLDER": str(folder),
            "DEBUG": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self._environment.pop("REDIS_URL", None)
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._django("migrate", "--verbosity=0")
        self._django("create_demo_user", "--verbosity=0")
        self.worker = self.start_worker()
        self.start_web()

    def start_web(self) -> None:
        daphne = ["-m", "daphne", "--bind", "127.0.0.1", "--port", str(self.port)]
        self.web = self._start("web", *daphne, "example_project.asgi:application")
        eventually(self._answers, START_SECONDS, "the web server does not answer")

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker", "-m", "django", "run_worker")

    def replace_worker(self) -> None:
        """Kill the worker as if its machine had lost power, and start another."""
        self.worker.kill()
        self.worker.wait()
        self.worker = self.start_worker()

    def restart_web(self) -> None:
        self.web.kill()
        self.web.wait()
        self.start_web()

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def logs(self) -> str:
        return "\n".join(
            f"--- {log.name} ---\n{log.read_text(errors='replace')[-4000:]}"
            for log in sorted(self._folder.glob("*.log"))
        )

    def _django(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "django", *arguments]
        subprocess.run(command, cwd=ROOT, env=self._environment, check=True)

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        command: Sequence[str] = [sys.executable, *arguments]
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def _answers(self) -> bool:
        assert self.web.poll() is None, self.logs()
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
