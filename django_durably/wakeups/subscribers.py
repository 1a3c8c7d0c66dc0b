"""Who listens in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock

from django_durably.wakeups.protocol import TOPICS, Callback, logger


class Subscription:
    """One callback and its topics. Made by `Subscribers.add`."""

    __slots__ = ("_callback", "_remove", "greeted", "topics")

    def __init__(
        self, callback: Callback, topics: Iterable[str], remove: Callable[[Subscription], None]
    ) -> None:
        self._callback = callback
        self._remove = remove
        self.topics = frozenset(topics)
        self.greeted = False

    def close(self) -> None:
        """Ends the calls."""
        self._remove(self)

    def deliver(self, topics: frozenset[str]) -> None:
        """Calls back for those of `topics` that it wants; logs what the callback raises."""
        for topic in sorted(topics & self.topics):
            try:
                self._callback(topic)
            except Exception:
                logger.exception("a listener for wake-ups failed on %r", topic)


class Subscribers:
    """All subscriptions of this process. `changed` is called after each that comes or goes."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = Lock()
        # Replaced, never altered: the delivering thread reads it without the lock.
        self._all: tuple[Subscription, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def topics(self) -> frozenset[str]:
        """What somebody listens for."""
        return frozenset[str]().union(*(each.topics for each in self._all))

    def add(self, callback: Callback, topics: Iterable[str]) -> Subscription:
        """Registers a callback."""
        subscription = Subscription(callback, topics, self._remove)
        with self._lock:
            self._all = (*self._all, subscription)
        self._changed()
        return subscription

    def _remove(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription not in self._all:
                return
            self._all = tuple(each for each in self._all if each is not subscription)
        self._changed()

    def clear(self) -> None:
        """Forgets everybody."""
        with self._lock:
            self._all = ()
        self._changed()

    def deliver(self, topics: frozenset[str]) -> None:
        """Calls back everybody who wants one of the topics."""
        if topics:
            for subscription in self._all:
                subscription.deliver(topics)

    def greet(self, in_force: frozenset[str] = TOPICS, *, again: bool = False) -> None:
        """Gives those their first calls whose topics are all in force by now.

        `again`, after a lost connection, greets everybody: hints may have been missed.
        """
        for subscription in self._all:
            if (again or not subscription.greeted) and subscription.topics <= in_force:
                subscription.greeted = True
                subscription.deliver(in_force)
