from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from django_durably.sse.relay import close_relay
from django_durably.wakeups import close_wakeups
from tests.sse.servers import WebProcess

StartWeb = Callable[..., WebProcess]


@pytest.fixture(autouse=True)
def _no_connections_left() -> Iterator[None]:
    yield
    close_relay()
    close_wakeups()


@pytest.fixture
def start_web(tmp_path: Path, transactional_db: None) -> Iterator[StartWeb]:
    """Starts web processes on the test's database, and ends them with the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> WebProcess:
            log = tmp_path / f"web-{len(list(tmp_path.iterdir()))}.log"
            return stack.enter_context(WebProcess(log, **options))

        yield start


@pytest.fixture
def web(start_web: StartWeb) -> WebProcess:
    """One daphne with the suite's settings."""
    return start_web()
