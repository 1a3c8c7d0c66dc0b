"""Waking on PostgreSQL: `NOTIFY` after the commit, `LISTEN` on one connection per process.

Never inside a transaction that stores something: `NOTIFY` makes commits queue behind one lock.
Behind a proxy that pools transactions, `LISTEN` succeeds and hears nothing; what polls meanwhile
still finds everything. Channels belong to one database of the server; two sites with schemas of
their own in one database wake each other, which costs a look and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from selectors import EVENT_READ, DefaultSelector
from socket import socketpair
from threading import Event, Thread
from typing import Any, Final

import psycopg
from django.db import connections

from django_durably.wakeups.carriers import CarriedWakeups, Carrier, join
from django_durably.wakeups.coalescing import Outbox
from django_durably.wakeups.healing import Backoff
from django_durably.wakeups.protocol import logger
from django_durably.wakeups.subscribers import Subscribers

PREFIX: Final = "durably_"
CHECK_SECONDS: Final = 30.0
"""How often a silent connection is asked whether it still lives."""
LINGER_SECONDS: Final = 5.0
"""How long the connection stays open after the last send when nobody listens."""
CONNECT_TIMEOUT_SECONDS: Final = 5

Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresqlWakeups(CarriedWakeups):
    """Notifies on the caller's own Django connection; the carrier sends what was merged."""

    def __init__(self, alias: str) -> None:
        super().__init__()
        self._alias = alias

    def _start_carrier(self) -> Carrier:
        return _Session(self._alias, self._subscribers, self._outbox)

    def _publish(self, topics: frozenset[str]) -> None:
        connection = connections[self._alias]
        if connection.in_atomic_block:
            connection.on_commit(partial(self.publish, *topics), robust=True)
        elif self._outbox.hold(topics):
            if connection.connection is not None and connection.autocommit:
                self._notify(connection)
            if self._outbox:
                self._wake_carrier()

    def _notify(self, connection: Any) -> None:
        """Sends what is due on the caller's connection; the carrier gets what that cannot send."""
        if topics := self._outbox.take_due():
            try:
                # Not through Django's cursor: queries are counted and forbidden there.
                connection.connection.execute(statement("NOTIFY", topics))
            except psycopg.Error as error:
                connection.errors_occurred = True
                logger.info("cannot notify on the caller's connection: %s", error)
                self._outbox.hold(topics)


class _Session:
    """The carrier: one session connection, opened when there is use for it."""

    def __init__(self, alias: str, subscribers: Subscribers, outbox: Outbox) -> None:
        self._alias = alias
        self._subscribers = subscribers
        self._outbox = outbox
        self._listening: frozenset[str] = frozenset()
        self._heard: set[str] = set()
        self._stopping = Event()
        self._waiter = _Waiter()
        self._thread = Thread(target=self._run, name="durably-postgresql-wakeups", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._waiter.wake()

    def stop(self) -> None:
        self._stopping.set()
        self._waiter.wake()
        join(self._thread)

    def _run(self) -> None:
        backoff = Backoff("the PostgreSQL connection for wake-ups")
        while not self._stopping.is_set():
            try:
                self._serve(backoff)
            except Exception as error:  # a wrong setting, too, may be put right
                self._stopping.wait(backoff.failed(error))
        self._send_last()
        self._waiter.close()

    def _serve(self, backoff: Backoff) -> None:
        """Waits for something to do, then does it on one connection for as long as it lasts."""
        while not self._has_use():
            self._waiter.wait(None)
            if self._stopping.is_set():
                return
        with connect(self._alias) as connection, self._waiter.watching(connection.fileno()):
            self._start_listening(connection)
            backoff.succeeded()
            self._exchange(connection)

    def _has_use(self) -> bool:
        return bool(self._subscribers) or bool(self._outbox)

    def _start_listening(self, connection: Connection) -> None:
        connection.add_notify_handler(lambda notify: self._heard.add(notify.channel))
        self._listening = frozenset()
        self._listen_to_new_topics(connection)
        self._subscribers.greet(self._listening, again=True)

    def _exchange(self, connection: Connection) -> None:
        """Receives and sends, until told to stop or until there is no more use for it."""
        while not self._stopping.is_set():
            self._listen_to_new_topics(connection)
            self._subscribers.greet(self._listening)
            if self._outbox.due_in() == 0:
                self._send(connection)
            self._deliver_heard()
            if not self._waiter.wait(self._patience()) and not self._outbox:
                if not self._subscribers:
                    return
                connection.execute("SELECT 1")
            _read(connection)
        self._send(connection)

    def _listen_to_new_topics(self, connection: Connection) -> None:
        if new := self._subscribers.topics - self._listening:
            connection.execute(statement("LISTEN", new))
            self._listening |= new

    def _send(self, connection: Connection) -> None:
        if topics := self._outbox.take():
            try:
                connection.execute(statement("NOTIFY", topics))
            except psycopg.Error:
                self._outbox.hold(topics)
                raise

    def _deliver_heard(self) -> None:
        heard, self._heard = self._heard, set()
        self._subscribers.deliver(frozenset(name.removeprefix(PREFIX) for name in heard))

    def _patience(self) -> float:
        due_in = self._outbox.due_in()
        if due_in is not None:
            return due_in
        return CHECK_SECONDS if self._subscribers else LINGER_SECONDS

    def _send_last(self) -> None:
        """What is still in the outbox when the connection was lost, or was never opened."""
        if not self._outbox:
            return
        try:
            with connect(self._alias) as connection:
                self._send(connection)
        except Exception as error:
            lost = self._outbox.take()
            logger.warning("wake-ups for %s are lost: %s", ", ".join(sorted(lost)), error)


class _Waiter:
    """A wait on one file descriptor, which `wake` ends from another thread."""

    def __init__(self) -> None:
        self._selector = DefaultSelector()
        self._read_end, self._write_end = socketpair()
        self._read_end.setblocking(False)
        self._write_end.setblocking(False)
        self._selector.register(self._read_end, EVENT_READ)

    def wake(self) -> None:
        with suppress(OSError):  # full: it will wake anyhow; closed: nobody waits any more
            self._write_end.send(b"\0")

    @contextmanager
    def watching(self, descriptor: int) -> Iterator[None]:
        self._selector.register(descriptor, EVENT_READ)
        try:
            yield
        finally:
            self._selector.unregister(descriptor)

    def wait(self, timeout: float | None) -> bool:
        """False when the time ran out."""
        ready = self._selector.select(timeout)
        with suppress(BlockingIOError):
            self._read_end.recv(4096)
        return bool(ready)

    def close(self) -> None:
        self._selector.close()
        self._read_end.close()
        self._write_end.close()


def connect(alias: str) -> Connection:
    """A connection of its own, in autocommit, as Django's settings for the alias say."""
    parameters = connections[alias].get_connection_params()
    parameters.pop("cursor_factory")
    parameters.pop("context")
    parameters.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
    return psycopg.connect(**parameters, autocommit=True)


def statement(verb: str, topics: frozenset[str]) -> str:
    """`LISTEN` or `NOTIFY` for several topics in one round trip, and so in one transaction."""
    return "; ".join(f"{verb} {PREFIX}{topic}" for topic in sorted(topics))


def _read(connection: Connection) -> None:
    """Passes on what has arrived, without waiting. Raises OperationalError on a lost connection."""
    connection.pgconn.consume_input()
    while notify := connection.pgconn.notifies():
        if handler := connection.pgconn.notify_handler:
            handler(notify)
