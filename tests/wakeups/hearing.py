"""A listener for tests that remembers what it heard, and when."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from django_durably.wakeups import TOPICS, Wakeups
from tests.support.waiting import eventually


class Ear:
    """A callback. `calls` counts them by topic, `times` has one moment per call."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.times: SimpleQueue[float] = SimpleQueue()

    def __call__(self, topic: str) -> None:
        self.calls[topic] += 1
        self.times.put(time.perf_counter())

    def hears(self, topic: str, after: Callable[[], object], timeout: float = 5) -> None:
        """Does `after` and waits until it was called for the topic."""
        before = self.calls[topic]
        after()
        eventually(lambda: self.calls[topic] > before, timeout, f"no wake-up for {topic!r} arrived")


@contextmanager
def listening(wakeups: Wakeups, topics: Iterable[str] = TOPICS) -> Iterator[Ear]:
    """An ear whose listening is in force, and past the calls that this alone brings."""
    ear = Ear()
    listener = wakeups.listen(ear, topics)
    try:
        eventually(lambda: set(ear.calls) >= set(topics), message="listening never began")
        yield ear
    finally:
        listener.close()
