"""A PostgreSQL server of a test's own, which may be restarted as nobody else uses it."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

PATIENCE_SECONDS = 60


def programs() -> Path | None:
    """Where the server's programs are; Debian keeps them out of PATH."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


class PrivatePostgresql:
    """A server on a free port, with its files in a temporary directory."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="durably-postgresql-"))
        self._port = _free_port()
        if os.geteuid() == 0:  # the server refuses to be root
            shutil.chown(self._directory, "postgres")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/"

    def start(self) -> None:
        self._call("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "--no-sync")
        options = f"-p {self._port} -k {self._directory} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._call("pg_ctl", "-D", self._data, "-l", self._log, "-o", options, "-w", "start")

    def restart(self, mode: str) -> None:
        """Restart it: "fast" ends all sessions, "immediate" is a crash with a recovery."""
        self._call("pg_ctl", "-D", self._data, "-l", self._log, "-m", mode, "-w", "restart")

    def stop(self) -> None:
        self._call("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._directory)

    @property
    def _data(self) -> str:
        return str(self._directory / "data")

    @property
    def _log(self) -> str:
        return str(self._directory / "log")

    def _call(self, program: str, *arguments: str) -> None:
        directory = programs()
        assert directory is not None
        as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        subprocess.run(
            [*as_postgres, directory / program, *arguments],
            cwd=self._directory,
            check=True,
            timeout=PATIENCE_SECONDS,
            stdout=subprocess.DEVNULL,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
