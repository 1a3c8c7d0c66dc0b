"""Runs the suite on other pairs of Python and Django, each in a virtual environment of its own.

    python scripts/test_pairs.py 3.11:5.2 3.12:6.0 ... [-- arguments of run_tests.py]

Exits 1 when a pair failed or its Python was not found.
"""

import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    outcomes = {pair: test(pair, arguments[end + 1 :]) for pair in arguments[:end]}
    print("\nPairs of Python and Django:")
    for pair, outcome in outcomes.items():
        print(f"  {pair:<12}{outcome}")
    return 0 if set(outcomes.values()) == {"passed"} else 1


def test(pair: str, rest: list[str]) -> str:
    python, django = pair.split(":")
    print(f"\n##### Python {python}, Django {django} #####", flush=True)
    found = interpreter(python)
    if found is None:
        return f"MISSING: no python{python} on PATH or under ~/.pyenv/versions"
    done = subprocess.run(
        [
            "make",
            "test",
            f"PYTHON={found}",
            f"VENV=.venvs/{python}-{django}",
            f"DJANGO=~={django}.0",
            "TEST_GROUPS=test browser",
            f"ARGS={shlex.join(rest)}",
        ],
        cwd=ROOT,
        check=False,
    )
    return "passed" if done.returncode == 0 else "FAILED"


def interpreter(version: str) -> str | None:
    """A Python of that version that really starts: a shim on PATH may not."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in [f"python{version}", *map(str, reversed(installed))]:
        try:
            subprocess.run([candidate, "-c", ""], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
