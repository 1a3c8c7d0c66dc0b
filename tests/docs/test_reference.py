"""The reference is complete: what the code has, its pages name."""

import inspect
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import find_commands, load_command_class

import django_durably
from django_durably import checks, conf, events, exceptions, signals, testing
from django_durably.decorators import Job, TriggerOptions
from django_durably.models import Run, RunQuerySet
from django_durably.runtime.async_context import AsyncStepContext
from django_durably.runtime.context import Log, StepContext
from tests.docs.examples import DOCS, ROOT, examples, pages

REFERENCE = DOCS / "reference"
COMMANDS = sorted(find_commands(str(ROOT / "django_durably/management")))
# Of the contexts: what the engine itself uses.
INTERNAL = {
    "end",
    "interrupt",
    "interruption",
    "lease_deadline",
    "on_interrupt",
    "signal_error",
    "steps",
}
# Written about where the HTTP API is.
OF_THE_WIRE = "http.", "projections"

_CELL = re.compile(
    r"^\| \[?`(?P<name>[A-Z_]+)`.*?\| `(?P<default>[^`]*)` \| (?P<id>durably\.E\d+) \|$"
)


def read(page: str) -> str:
    return (REFERENCE / page).read_text()


def unnamed(names: Any, page: str) -> list[str]:
    """Those that the page does not show as code."""
    code = " ".join(re.findall(r"`([^`\n]+)`", read(page)))
    headings = " ".join(re.findall(r"^#+ (.*)$", read(page), re.MULTILINE))
    words = set(re.findall(r"\w+", f"{code} {headings}"))
    return sorted(set(names) - words)


def public(owner: type) -> set[str]:
    """The names that the class itself and its parents in this package define."""
    return {
        name
        for parent in owner.__mro__
        if parent.__module__.startswith("django_durably")
        for name, value in vars(parent).items()
        if not name.startswith("_") and not isinstance(value, type)
        if callable(value) or isinstance(value, property)
    }


def test_settings_names_each_with_its_default_and_check() -> None:
    rows = [match for line in read("settings.md").splitlines() if (match := _CELL.match(line))]
    shown = {row["name"]: (row["default"].strip('"'), row["id"]) for row in rows}
    defaults = conf.Settings()
    expected = {
        name: (_shown(name, getattr(defaults, attribute)), checks.IDS[name])
        for name, (attribute, _) in conf.SPECIFICATIONS.items()
    }
    assert shown == expected
    assert all(f"### {name}\n" in read("settings.md") for name in expected)


def _shown(name: str, value: object) -> str:
    if not isinstance(value, timedelta):
        return str(value)
    if name.endswith("_MS"):
        return str(value // timedelta(milliseconds=1))
    if name.endswith("_SECONDS"):
        return str(value // timedelta(seconds=1))
    hours = value // timedelta(hours=1)
    return f"{hours // 24}d" if hours >= 24 else f"{hours}h"


def test_checks_names_every_id() -> None:
    source = inspect.getsource(checks)
    single = set(re.findall(r"durably\.[EW]\d+", source)) - set(checks.IDS.values())
    shown = set(re.findall(r"durably\.[EW]\d+", read("checks.md")))
    assert shown - {"durably.E001", "durably.E003"} == single
    assert {"durably.E001", "durably.E003"} <= set(checks.IDS.values())


def test_jobs_names_every_method_and_option() -> None:
    assert unnamed(public(Job) | set(TriggerOptions.__annotations__), "jobs.md") == []


def test_runs_names_every_field_and_method() -> None:
    fields = {field.name for field in Run._meta.get_fields() if field.concrete}
    assert unnamed(fields | public(Run) | public(RunQuerySet), "runs.md") == []


@pytest.mark.parametrize("context", [StepContext, AsyncStepContext])
def test_steps_names_every_member(context: type) -> None:
    assert unnamed((public(context) | public(Log)) - INTERNAL, "steps.md") == []


def test_signals_names_every_signal_with_its_event() -> None:
    page = read("signals.md")
    names = {id(value): name for name, value in vars(signals).items()}
    pairs = [(names[id(signal)], type_.value) for type_, signal in signals.SIGNALS.items()]
    rows = [f"| `{name}` | `{type_}` |" for name, type_ in pairs]
    assert [row for row in rows if row not in page] == []
    concept = (DOCS / "concepts/events.md").read_text()
    assert [each.value for each in events.EventType if f"`{each.value}`" not in concept] == []


def test_errors_names_every_error() -> None:
    names = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and value.__module__ == exceptions.__name__
    }
    assert unnamed({n for n in names if n[0] != "_"} - {"RunInterrupted"}, "errors.md") == []


def test_testing_names_every_function() -> None:
    functions = {
        name
        for name, value in vars(testing).items()
        if callable(value) and not name.startswith("_") and name.islower()
        if getattr(value, "__module__", "") in (testing.__name__, "asgiref.sync")
    }
    assert unnamed(functions - {"async_to_sync", "sync_to_async"}, "testing.md") == []


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_names_every_option(name: str) -> None:
    section = read("commands.md").partition(f"## {name}\n")[2].partition("\n## ")[0]
    assert [option for option in own_options(name) if option not in section] == []


def own_options(name: str) -> list[str]:
    command = load_command_class("django_durably", name)
    parser = command.create_parser("manage.py", name)
    inherited = set(_options(load_command_class("django.core", "migrate").create_parser("", "")))
    return [option for option in _options(parser) if option not in inherited]


def _options(parser: Any) -> list[str]:
    return [
        option
        for action in parser._actions
        if action.help != "==SUPPRESS=="
        for option in action.option_strings
        if option.startswith("--")
    ]


def test_public_names_are_all_in_the_reference() -> None:
    text = " ".join(page.read_text() for page in REFERENCE.glob("*.md"))
    homes = django_durably._HOME
    ours = [name for name in django_durably.__all__ if not homes[name].startswith(OF_THE_WIRE)]
    assert [name for name in ours if not re.search(rf"\b{name}\b", text)] == []


def test_commands_in_blocks_that_only_show_take_their_options() -> None:
    """Such as the unit of systemd and the Dockerfile."""
    shown = [
        (each.place, command, options)
        for page in pages()
        for each in examples(page)
        if each.language in ("dockerfile", "ini", "yaml") or each.reason
        for command, options in _calls(each.text)
    ]
    assert {command for _, command, _ in shown} == {"durably_health", "run_worker"}
    for _, command, options in shown:
        load_command_class("django_durably", command).create_parser("", command).parse_args(options)


def _calls(text: str) -> list[tuple[str, list[str]]]:
    calls = re.findall(r"manage\.py\W+(run_worker|durably_health)([^\n\]]*)", text)
    return [(command, re.findall(r"[\w-]+", rest)) for command, rest in calls]


def test_the_pictures_are_there_and_say_what_they_show() -> None:
    for picture in (DOCS / "images").glob("*.svg"):
        assert 'aria-label="' in picture.read_text(), picture
    used = {
        (page.parent / path).resolve()
        for page in pages()
        for path in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())
    }
    assert used >= set((DOCS / "images").glob("*.svg"))
    assert [path for path in used if not path.exists()] == []


def test_the_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text())
    assert [each for each in targets if not Path(ROOT, each).exists()] == []
