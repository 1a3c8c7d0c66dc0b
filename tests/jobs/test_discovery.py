import subprocess
import sys
from pathlib import Path

import pytest

from django_durably.jobs import discovery, registry

ROOT = Path(__file__).resolve().parents[2]


def run_python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_jobs_of_installed_apps_are_known_when_django_is_ready() -> None:
    assert registry.get("echo").func.__module__ == "tests.testapp.jobs"


def test_discovery_may_be_repeated() -> None:
    before = registry.names()
    discovery.autodiscover()
    assert registry.names() == before


@pytest.mark.parametrize("module", ["jobs.schema", "jobs.registry", "decorators", "labels"])
def test_importing_jobs_loads_neither_pydantic_nor_models(module: str) -> None:
    unwanted = "{'pydantic', 'django_durably.models', 'django_durably.operations'}"
    code = f"import sys, django_durably.{module}; print({unwanted} & set(sys.modules))"
    assert run_python(code) == "set()"


def test_a_typed_job_can_be_made_without_pydantic_before_settings_are_read() -> None:
    code = """
import sys
from django_durably import job

@job
def work(step, input: list[int]) -> int: ...

print('pydantic' in sys.modules, work.name)
"""
    assert run_python(code) == "False work"
