"""The command line: `python -m benchmarks`, called by `make bench`."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import drawing, report
from benchmarks.plan import Plan
from tests.support import databases


def main() -> int:
    options = _options()
    plan = _plan(options)
    result: dict[str, Any] = {**_conditions(), "plan": plan.as_json(), "databases": {}}
    for name in options.database or databases.DATABASES:
        answer = databases.answer(name)
        if not answer.there:
            print(f"{name} is left out: {answer.problem}", file=sys.stderr)
            continue
        print(f"{name} {answer.version}", file=sys.stderr)
        measured = _measure(name, plan)
        result["databases"][name] = {"version": answer.version, **measured}
        _write(options.out, result)
        print(report.table(name, result["databases"][name]), flush=True)
    if not result["databases"]:
        return 1
    print(f"Written to {options.out}: results.json and curves")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a first impression, in a minute")
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer runs of everything")
    parser.add_argument("--repeats", type=int, help="how often each figure is measured")
    parser.add_argument("--history", type=int, help="finished runs in the tables; 0: none")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="measure only this: limit, triggers, runs, steps, latency, idle, concurrency, "
        "or one of them, as runs.one (repeat; with history, the same against finished runs)",
    )
    parser.add_argument(
        "--database", action="append", choices=databases.DATABASES, help="only this one (repeat)"
    )
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    return parser.parse_args()


def _plan(options: argparse.Namespace) -> Plan:
    plan = Plan().quick() if options.quick else Plan()
    plan = plan.scaled(options.scale)
    changes = {"repeats": options.repeats, "history": options.history}
    given = {key: value for key, value in changes.items() if value is not None}
    return replace(plan, only=tuple(options.only), **given)


def _measure(database: str, plan: Plan) -> dict[str, Any]:
    """In a process of its own: Django's settings know one database each."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "result.json")
        own = {
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "DURABLY_TEST_DATABASE": database,
            "DURABLY_TEST_NAME": f"durably_benchmark_{os.getpid()}",
        }
        session = [sys.executable, "-m", "benchmarks.session"]
        command = [*session, json.dumps(plan.as_json()), str(file)]
        subprocess.run(command, env={**os.environ, **own}, check=True)
        return dict(json.loads(file.read_text()))


def _conditions() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": report.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "django": version("django"),
        "load": round(os.getloadavg()[0], 2),
    }


def _write(folder: Path, result: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Path(folder, "results.json").write_text(json.dumps(result, indent=1))
    for name, picture in drawing.pictures(result["databases"]).items():
        Path(folder, f"{name}.svg").write_text(picture)


if __name__ == "__main__":
    sys.exit(main())
