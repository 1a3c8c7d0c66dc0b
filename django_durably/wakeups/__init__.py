"""Hints between processes, so that nobody has to wait for the next poll.

`publish_on_commit(RUNS)` in a transaction, `get_wakeups().publish(RUNS)` after one, and
`get_wakeups().listen(callback)` where somebody waits. The way is chosen by the database:
PostgreSQL `LISTEN`/`NOTIFY`, SQLite `data_version`, else polling; a Channels layer named by
`DURABLY["CHANNEL_LAYER"]` goes before all of them.
"""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock
from typing import Any

from django.core.signals import setting_changed
from django.db import connections, transaction
from django.dispatch import receiver

from django_durably.conf import get_settings
from django_durably.wakeups.polling import PollingWakeups
from django_durably.wakeups.protocol import (
    CANCELLATIONS,
    EVENTS,
    RUNS,
    TOPICS,
    Callback,
    Listener,
    Wakeups,
)

__all__ = [
    "CANCELLATIONS",
    "EVENTS",
    "RUNS",
    "TOPICS",
    "Callback",
    "Listener",
    "Wakeups",
    "close_wakeups",
    "get_wakeups",
    "publish_on_commit",
]


class _Chosen:
    """The wake-ups of this process, once they are chosen."""

    lock = Lock()
    wakeups: Wakeups | None = None


def get_wakeups() -> Wakeups:
    """The wake-ups of this process, chosen at the first call."""
    if wakeups := _Chosen.wakeups:
        return wakeups
    with _Chosen.lock:
        if _Chosen.wakeups is None:
            _Chosen.wakeups = _choose()
        return _Chosen.wakeups


def close_wakeups() -> None:
    """Sends what waits to be sent and ends all listening; the next use chooses afresh."""
    with _Chosen.lock:
        wakeups, _Chosen.wakeups = _Chosen.wakeups, None
    if wakeups is not None:
        wakeups.close()


# A script that triggers a run and ends at once must not take its last hint with it.
atexit.register(close_wakeups)


def publish_on_commit(*topics: str) -> None:
    """Hints at the topics when the caller's transaction has committed, and not if it rolls back.

    The transaction is that of `DURABLY["DATABASE"]`; outside of one the hint goes at once. Cheap
    to repeat: a transaction hints once at each topic.
    """
    alias = get_settings().database
    if missing := frozenset(topics) - _registered_topics(alias):
        transaction.on_commit(_Hint(missing), using=alias, robust=True)


@dataclass(frozen=True, slots=True)
class _Hint:
    topics: frozenset[str]

    def __call__(self) -> None:
        # A test may call this inside its own transaction (`captureOnCommitCallbacks`): what nobody
        # can see needs no hint, and a hint that waits for that commit would be made for ever.
        if not connections[get_settings().database].in_atomic_block:
            get_wakeups().publish(*self.topics)


def _registered_topics(alias: str) -> frozenset[str]:
    """Topics that the transaction hints at already, however its savepoints end from here on."""
    connection = connections[alias]
    savepoints = set(connection.savepoint_ids)
    return frozenset[str]().union(
        *(
            registered.topics
            for within, registered, *_ in connection.run_on_commit
            if isinstance(registered, _Hint) and within <= savepoints
        )
    )


def _choose() -> Wakeups:
    settings = get_settings()
    if settings.channel_layer:
        from django_durably.wakeups.channel_layer import ChannelLayerWakeups

        return ChannelLayerWakeups(settings.channel_layer)
    return _of_database(settings.database)


def _of_database(alias: str) -> Wakeups:
    connection: Any = connections[alias]
    if connection.vendor == "postgresql" and find_spec("psycopg"):
        from django_durably.wakeups.postgresql import PostgresqlWakeups

        return PostgresqlWakeups(alias)
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():
        from django_durably.wakeups.sqlite import SqliteWakeups

        return SqliteWakeups(alias)
    return PollingWakeups()


@receiver(setting_changed, dispatch_uid="django_durably.wakeups")
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in {"DURABLY", "DATABASES", "CHANNEL_LAYERS"}:
        close_wakeups()
