"""The React page of the example: its packages from npm, its build, and the TypeScript compiler."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "example_project" / "frontend"
PACKAGES = FOLDER / "node_modules"
MANIFEST = FOLDER / "dist" / ".vite" / "manifest.json"
PATIENCE_SECONDS = 300


def missing() -> str:
    """Why nothing can be built here; empty when it can."""
    absent = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"not on PATH: {', '.join(absent)}" if absent else ""


def install() -> None:
    """Install the packages that package-lock.json names, unless that was done."""
    with _alone():
        _install()


def build() -> None:
    """Build the page, unless its sources are older than what was built."""
    with _alone():
        _install()
        if _newest(_sources()) > _time(MANIFEST):
            _run("npm", "run", "build")


def type_errors(folder: Path) -> str:
    """What the TypeScript compiler says of the tsconfig.json in this folder: nothing is good."""
    install()
    command = ["node", str(PACKAGES / "typescript" / "bin" / "tsc"), "--pretty", "false"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(done.stdout), done
    return done.stdout


def _install() -> None:
    if _time(FOLDER / "package-lock.json") > _time(PACKAGES / ".package-lock.json"):
        # Not `npm ci`: it fails where a registry lacks packages that only other systems need.
        _run("npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund")
        (PACKAGES / ".package-lock.json").touch()


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        cwd=FOLDER,
        env={**os.environ, "CI": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}"


def _sources() -> list[Path]:
    return [*FOLDER.glob("*.*"), *(FOLDER / "src").rglob("*"), PACKAGES / ".package-lock.json"]


def _newest(paths: list[Path]) -> float:
    return max(map(_time, paths))


def _time(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time: the suite may run on several databases at once."""
    with (FOLDER / "package.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
