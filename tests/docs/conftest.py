"""The examples are followed on SQLite, which is what the pages begin with."""

from pathlib import Path

import pytest

from tests.docs.examples import DOCS, steps
from tests.docs.story import Project, forget_runs
from tests.support import databases


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    # The projects have databases of their own: once is enough, however many the suite runs on.
    return True if databases.chosen() != "sqlite" else None


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of a reader who has followed the quickstart to its end."""
    project = Project(tmp_path_factory.mktemp("quickstart"))
    project.follow(steps(DOCS / "quickstart.md"))
    forget_runs(project)
    # On the pages that follow nobody watches the import.
    jobs = project.folder / "shop/jobs.py"
    jobs.write_text(jobs.read_text().replace("time.sleep(1)", "time.sleep(0)"))
    return project


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one app, `shop`, in which nothing has happened yet."""
    project = Project(tmp_path_factory.mktemp("empty"))
    project.run("django-admin startproject mysite . && python manage.py startapp shop", "a project")
    project.write("mysite/settings.py", 'INSTALLED_APPS += ["shop"]\n')
    return project
