"""What every test with real workers needs: them, and a place to meet their bodies."""

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support.notebook import Notebook
from tests.support.processes import WorkerProcess

# Short leases, so that a death is noticed soon, but not so short that a busy machine loses one.
SETTINGS = {"LEASE_SECONDS": 3, "LEASE_RENEW_SECONDS": 0.5, "POLL_SECONDS": 0.25}


class StartWorker(Protocol):
    def __call__(
        self,
        *options: str,
        settings: Mapping[str, Any] = {},
        environment: Mapping[str, str] = {},
    ) -> WorkerProcess: ...


@pytest.fixture
def start_worker(
    transactional_db: None, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[StartWorker]:
    """Start workers; those that still run at the end of the test are killed.

    `settings` go into `DURABLY`. What the workers wrote is shown if the test fails.
    """
    started: list[WorkerProcess] = []
    numbers = count(1)

    def start(
        *options: str,
        settings: Mapping[str, Any] = {},
        environment: Mapping[str, str] = {},
    ) -> WorkerProcess:
        log = tmp_path / f"worker-{next(numbers)}.log"
        worker = WorkerProcess(
            *options, log=log, settings={**SETTINGS, **settings}, environment=environment
        )
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.clean_up()
        print(f"--- worker {worker.pid}, status {worker.process.returncode} ---\n{worker.log}")  # noqa: T201


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    return Notebook(tmp_path)
