"""A worker in this process, for what cannot be seen from outside."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_durably.events import Event
from django_durably.runtime.worker import Options, Worker
from django_durably.signals import SIGNALS

StartWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(transactional_db: None, settings: Any) -> Iterator[StartWorker]:
    """Start a worker in a thread; keyword arguments are its `Options`. Stopped after the test."""
    settings.DURABLY = {"LEASE_SECONDS": 2, "LEASE_RENEW_SECONDS": 0.2, "POLL_SECONDS": 0.1}
    started: list[tuple[Worker, threading.Thread]] = []

    def start(**options: Any) -> Worker:
        worker = Worker(Options(**options))
        thread = threading.Thread(target=worker.run)
        thread.start()
        started.append((worker, thread))
        return worker

    yield start
    for worker, thread in started:
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def heard() -> Iterator[list[Event]]:
    """All events that signals bring, in order."""
    events: list[Event] = []

    def listen(event: Event, **kwargs: Any) -> None:
        events.append(event)

    for signal in SIGNALS.values():
        signal.connect(listen)
    yield events
    for signal in SIGNALS.values():
        signal.disconnect(listen)
