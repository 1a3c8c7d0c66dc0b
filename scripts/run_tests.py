"""Runs the suite once per database that answers, and says at the end what was not exercised.

    python scripts/run_tests.py [--databases NAMES] [--without MARKERS] [pytest arguments]

Names are separated by commas. Exits 1 when a run failed, or when a part named in
`DURABLY_TEST_REQUIRE` (sqlite, postgresql, mariadb, redis, chromium) was not there.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support import databases  # noqa: E402  needs the line above

MARKERS = ("browser", "process", "redis", "storm")
MARKER_OF = {"redis": "redis", "chromium": "browser"}
OWN_SETTINGS = {"tests/queue_database": "tests.settings_queue"}
NO_TESTS_COLLECTED = 5


@dataclass(frozen=True)
class Plan:
    """What this call is to run."""

    databases: list[str]
    without: list[str]
    required: list[str]
    arguments: list[str]


@dataclass(frozen=True)
class Row:
    """One line of the table at the end."""

    part: str
    outcome: str
    detail: str
    good: bool = True


def main() -> int:
    plan = read_arguments(sys.argv[1:])
    answers = {name: databases.answer(name) for name in databases.SERVICES}
    missing = [marker for part, marker in MARKER_OF.items() if not answers[part].there]
    without = sorted({*plan.without, *missing})
    rows = [exercise(answers[name], without, plan) for name in databases.DATABASES]
    rows += [describe(answers[part], plan) for part in MARKER_OF]
    rows += [left_out(marker) for marker in ("process", "storm") if marker in without]
    show(rows)
    return 0 if all(row.good for row in rows) else 1


def read_arguments(arguments: list[str]) -> Plan:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--databases", type=some_of(databases.DATABASES), default=[])
    parser.add_argument("--without", type=some_of(MARKERS), default=[])
    known, rest = parser.parse_known_args(arguments)
    return Plan(
        databases=known.databases or list(databases.DATABASES),
        without=known.without,
        required=required_parts(),
        arguments=rest,
    )


def some_of(allowed: tuple[str, ...]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = [name for name in text.replace(",", " ").split() if name]
        if unknown := [name for name in found if name not in allowed]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(allowed)}")
        return found

    return names


def required_parts() -> list[str]:
    try:
        return some_of(tuple(databases.SERVICES))(os.environ.get("DURABLY_TEST_REQUIRE", ""))
    except argparse.ArgumentTypeError as error:
        sys.exit(f"DURABLY_TEST_REQUIRE: {error}")


def exercise(answer: databases.Answer, without: list[str], plan: Plan) -> Row:
    """Runs the suite on one database, if it was asked for and is there."""
    if answer.name not in plan.databases:
        return Row(answer.name, "left out", "not among --databases")
    if not answer.there:
        return not_there(answer, plan)
    began = time.monotonic()
    outcomes = [run_pytest(answer, without, run) for run in runs(plan)]
    took = f"{answer.version}, {time.monotonic() - began:.0f} s"
    passed = all(outcomes)
    return Row(answer.name, "passed" if passed else "FAILED", took, good=passed)


def runs(plan: Plan) -> list[list[str]]:
    """The arguments of each pytest process: the suite, then what needs settings of its own."""
    names_paths = any(Path(each.split("::")[0]).exists() for each in plan.arguments)
    own = [] if names_paths else [[path, f"--ds={ds}"] for path, ds in OWN_SETTINGS.items()]
    return [
        plan.arguments,
        *(plan.arguments + each for each in own if Path(ROOT, each[0]).exists()),
    ]


def run_pytest(answer: databases.Answer, without: list[str], arguments: list[str]) -> bool:
    options = [f"--without={marker}" for marker in without]
    print(f"\n=== {answer.name} {answer.version} ===", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=ROOT,
        env={**os.environ, "DURABLY_TEST_DATABASE": answer.name},
        check=False,
    )
    nothing_selected = done.returncode == NO_TESTS_COLLECTED and bool(arguments)
    return done.returncode == 0 or nothing_selected


def describe(answer: databases.Answer, plan: Plan) -> Row:
    """A part that takes part in the runs above."""
    if MARKER_OF[answer.name] in plan.without:
        return left_out(answer.name)
    if not answer.there:
        return not_there(answer, plan)
    return Row(answer.name, "used", answer.version)


def left_out(part: str) -> Row:
    return Row(part, "left out", "named in --without")


def not_there(answer: databases.Answer, plan: Plan) -> Row:
    if answer.name in plan.required:
        return Row(answer.name, "MISSING", f"required, but: {answer.problem}", good=False)
    return Row(answer.name, "not run", answer.problem)


def show(rows: list[Row]) -> None:
    print(f"\nExercised with Python {platform.python_version()}, Django {version('django')}:")
    for row in rows:
        print(f"  {row.part:<12}{row.outcome:<10}{row.detail}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
