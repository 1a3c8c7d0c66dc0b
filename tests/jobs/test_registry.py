import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_durably.exceptions import NotFoundError
from django_durably.jobs import registry
from django_durably.jobs.definition import Definition


def first(step: Any) -> None: ...
def second(step: Any) -> None: ...


@pytest.fixture(autouse=True)
def _isolated() -> Iterator[None]:
    with registry.isolated():
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str) -> None:
    header = "from django_durably.decorators import job\n"
    path.write_text(header + dedent(text))
    importlib.invalidate_caches()


def test_a_job_is_found_by_name() -> None:
    definition = Definition.from_function(first, "registered")
    registry.register(definition)
    assert registry.get("registered") is definition
    assert definition in registry.all_jobs()
    assert "registered" in registry.names()


def test_jobs_are_listed_by_name() -> None:
    for name in ("b", "c", "a"):
        registry.register(Definition.from_function(first, name))
    assert registry.names() == sorted(registry.names())
    assert [definition.name for definition in registry.all_jobs()] == registry.names()


def test_an_unknown_job_is_not_found() -> None:
    with pytest.raises(NotFoundError) as caught:
        registry.get("nowhere")
    assert str(caught.value) == "Job not found: nowhere"


def test_a_second_job_of_a_name_is_refused_with_both_functions() -> None:
    registry.register(Definition.from_function(first, "twice"))
    expected = (
        r"Two jobs are named 'twice': tests\.jobs\.test_registry\.first \(line \d+\) "
        r"and tests\.jobs\.test_registry\.second \(line \d+\)\."
    )
    with pytest.raises(ImproperlyConfigured, match=expected):
        registry.register(Definition.from_function(second, "twice"))
    assert registry.get("twice").func is first


def test_a_function_may_be_registered_again() -> None:
    registry.register(Definition.from_function(first, "again"))
    registry.register(Definition.from_function(first, "again"))
    assert registry.get("again").func is first


def test_a_function_copied_within_its_module_is_refused(folder: Path) -> None:
    write(
        folder / "copied.py",
        """
        @job("copied")
        def work(step): ...

        @job("copied")
        def work(step): ...
        """,
    )
    with pytest.raises(ImproperlyConfigured, match=r"copied\.work \(line 3\) and copied\.work"):
        importlib.import_module("copied")


def test_a_module_that_failed_may_be_imported_again(folder: Path) -> None:
    write(folder / "flawed.py", "@job\ndef flawed(step): ...\nraise LookupError")
    for _ in range(2):
        with pytest.raises(LookupError):
            importlib.import_module("flawed")


def test_a_reloaded_module_replaces_its_jobs(folder: Path) -> None:
    write(folder / "reloaded.py", "@job\ndef changing(step):\n    return 1")
    module = importlib.import_module("reloaded")
    write(folder / "reloaded.py", "\n\n\n@job\ndef changing(step):\n    return 'two'")
    importlib.reload(module)
    assert registry.get("changing").func(None) == "two"


def test_jobs_registered_in_isolation_are_forgotten() -> None:
    with registry.isolated():
        registry.register(Definition.from_function(first, "passing"))
    assert "passing" not in registry.names()
