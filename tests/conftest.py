"""What holds for the whole suite: one real database per process, and no part passed over unseen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import databases

NEEDS = {"browser": databases.CHROMIUM, "redis": databases.REDIS}
LEAVES_OUT = ("browser", "process", "redis", "storm")
QUEUE_SETTINGS = "tests.settings_queue"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without",
        action="append",
        choices=LEAVES_OUT,
        default=[],
        help="leave out the tests with this marker; may be given more than once",
    )


def pytest_report_header() -> str:
    return f"database: {databases.chosen()}"


def pytest_sessionstart() -> None:
    found = databases.answer(databases.chosen())
    if not found.there:
        pytest.exit(f"{found.name} does not answer: {found.problem}", returncode=4)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """tests/queue_database/ runs by itself, with settings that give the queue its own database."""
    own_settings = os.environ.get("DJANGO_SETTINGS_MODULE") == QUEUE_SETTINGS
    belongs = "queue_database" in collection_path.parts
    return True if belongs and not own_settings else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _leave_out(config, items)
    _skip_what_is_not_there(items)


def _leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    unwanted = set(config.getoption("--without"))
    out = [item for item in items if unwanted & {mark.name for mark in item.iter_markers()}]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]


def _skip_what_is_not_there(items: list[pytest.Item]) -> None:
    for marker, service in NEEDS.items():
        concerned = [item for item in items if item.get_closest_marker(marker)]
        if concerned and (problem := databases.answer(service.name).problem):
            for item in concerned:
                item.add_marker(pytest.mark.skip(reason=f"{service.name}: {problem}"))


@pytest.fixture(scope="session", autouse=True)
def _no_sqlite_files_left() -> Iterator[None]:
    yield
    if databases.chosen() == "sqlite":
        from tests import settings

        path = Path(settings.DATABASES["default"]["NAME"])
        for left in path.parent.glob(f"{settings.NAME}*"):
            left.unlink()
