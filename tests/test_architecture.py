"""Rules of the house that imports alone cannot express, read from the source.

docs/contributing/architecture.md explains them. import-linter holds the layers.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "django_durably"
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "misc"}


@dataclass(frozen=True)
class Rule:
    """What may be used only in some places; each unexpected place has its reason beside it."""

    places: tuple[str, ...]
    imports: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


RULES = {
    "locks and transactions": Rule(
        places=("storage",),
        names=frozenset({"atomic", "select_for_update"}),
    ),
    "column expressions": Rule(
        # models/run.py declares generated columns with it; it queries nothing.
        places=("storage", "models/run.py", "migrations"),
        names=frozenset({"F", "models.F"}),
    ),
    "threads": Rule(
        # clock.py guards the order of run ids; operations/waiting.py waits for a hint.
        places=("runtime", "wakeups", "sse", "clock.py", "operations/waiting.py"),
        imports=frozenset({"threading", "concurrent.futures"}),
    ),
    "process signals": Rule(
        places=("runtime", "wakeups", "sse"),
        imports=frozenset({"signal"}),
    ),
    "event loops": Rule(
        places=(
            "runtime",
            "wakeups",
            "sse",
            "http",
            "websocket",
            "operations/waiting.py",
            "testing",
            "testing.py",
        ),
        imports=frozenset({"asyncio"}),
    ),
}


SLEEPS = frozenset({"time.sleep", "asyncio.sleep"})
SLEEPING = Rule(places=(), imports=SLEEPS, names=SLEEPS)


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The full name of everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def named(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a module uses, dotted and by its last part."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.Name):
            yield node.id, node.lineno


def uses(path: Path, rule: Rule) -> list[int]:
    """The lines of a module that the rule is about."""
    tree = ast.parse(path.read_text(), str(path))
    imports = {line for name, line in imported(tree) if name in rule.imports}
    return sorted(imports | {line for name, line in named(tree) if name in rule.names})


def is_in(path: Path, places: tuple[str, ...]) -> bool:
    inside = path.relative_to(PACKAGE).as_posix()
    return any(inside == place or inside.startswith(f"{place}/") for place in places)


@pytest.mark.parametrize("subject", RULES)
def test_is_used_only_where_it_belongs(subject: str) -> None:
    rule = RULES[subject]
    elsewhere = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules(PACKAGE)
        if not is_in(path, rule.places)
        for line in uses(path, rule)
    ]
    assert elsewhere == []


def test_every_place_of_a_rule_that_is_a_file_exists() -> None:
    files = {place for rule in RULES.values() for place in rule.places if place.endswith(".py")}
    assert [place for place in files - {"testing.py"} if not (PACKAGE / place).exists()] == []


def test_no_module_has_a_vague_name() -> None:
    assert [str(path) for path in modules(PACKAGE) if path.stem in VAGUE] == []


def test_tests_wait_for_something_and_never_for_a_while() -> None:
    """`tests/support/waiting.py` polls with a deadline; sleeping is slow, or flaky, or both."""
    assert [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules(ROOT / "tests")
        if path.name.startswith("test_")
        for line in uses(path, SLEEPING)
    ] == []
