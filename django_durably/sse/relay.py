"""The relay: one thread per web process that reads the event log for all who listen there.

It starts with its first listener and ends a while after its last. It looks at the log when a
wake-up says so, at least once per poll interval, and when throttled progress is due.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from django.core.signals import setting_changed
from django.db import connections
from django.dispatch import receiver

from django_durably import wakeups
from django_durably.conf import get_settings
from django_durably.events import TERMINAL_EVENTS, EventType
from django_durably.sse.envelopes import seal
from django_durably.sse.listeners import Listener, Listeners
from django_durably.sse.reader import Reader
from django_durably.sse.ring import Ring
from django_durably.sse.throttle import Throttle
from django_durably.sse.tracking import Tracker
from django_durably.storage import events
from django_durably.storage.cursors import Cursor
from django_durably.storage.events import RecordedEvent

LINGER: Final = 10.0
"""Seconds for which a relay without listeners goes on: a page that reloads is back by then."""
PAGE: Final = 500
"""How many events it reads at once."""
LONGEST_BACKOFF: Final = 5.0
STOP_TIMEOUT: Final = 5.0
_AFTER_PROGRESS: Final = TERMINAL_EVENTS | {EventType.RUN_LEASED}

logger = logging.getLogger("django_durably.sse")


class Relay:
    """Reads the log from ``start`` on and sends what is new to its listeners.

    ``cursor`` is what is in the ring or was before it, ``handed_over`` what is with the listeners.
    """

    def __init__(self) -> None:
        self.listeners = Listeners()
        self.reader = Reader()
        self.cursor = self.handed_over = Cursor(0)
        self.ring = Ring(self.cursor)
        settings = get_settings()
        self._poll = settings.poll.total_seconds()
        self._throttle: Throttle[RecordedEvent] = Throttle(
            settings.progress_throttle.total_seconds()
        )
        self._tracker = Tracker(self.cursor)
        self._hint = threading.Event()
        self.stopping = False
        self._left_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="durably-relay", daemon=True)

    # Called in the reader's thread

    def start(self) -> None:
        """Begin at the present end of the log, unless it has begun already."""
        if self._thread.ident is None:
            self.cursor = self.handed_over = events.present_cursor()
            self._tracker = Tracker(self.cursor, in_order=not events.commits_out_of_order())
            self.ring = Ring(self.cursor)
            self._thread.start()

    # Called anywhere

    def left(self) -> None:
        """Somebody has left."""
        self._left_at = time.monotonic()

    def may_end(self) -> bool:
        return not self.listeners and time.monotonic() - self._left_at >= LINGER

    def stop(self) -> None:
        """End the threads, and all that listens."""
        self.stopping = True
        self._hint.set()
        self.listeners.wake_all()
        self.reader.close()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT)

    # The relay's thread

    def _run(self) -> None:
        heard = wakeups.get_wakeups().listen(self._on_hint, [wakeups.EVENTS])
        delay = 0.0
        try:
            while not (self.stopping or _has_ended(self)):
                self._hint.clear()
                delay = self._look_or_back_off(delay)
                self._hint.wait(delay or self._pause())
        finally:
            heard.close()
            self.reader.close()
            connections.close_all()

    def _on_hint(self, topic: str) -> None:
        self._hint.set()

    def _look_or_back_off(self, delay: float) -> float:
        """Look once. Seconds to wait before the next look: 0, or more and more while it fails."""
        try:
            self._send(self._throttle.due())
            self._look()
        except Exception as error:
            if not delay:
                logger.warning("The event log cannot be read: %s", error, exc_info=True)
            connections.close_all()
            return min(max(0.1, delay * 2), LONGEST_BACKOFF)
        return 0.0

    def _pause(self) -> float:
        due_in = self._throttle.due_in()
        return self._poll if due_in is None else min(self._poll, due_in)

    def _look(self) -> None:
        hopeless = self._hopeless()
        while not self.stopping:
            page = events.read_after(self._tracker.cursor, PAGE)
            for event in page:
                self._tracker.see(event.id)
                self._pass_on(event)
            if len(page) < PAGE:
                break
            self._send(self._throttle.due())
        self._tracker.give_up(hopeless)

    def _hopeless(self) -> list[int]:
        if not self._tracker.cursor.awaited:
            return []
        return self._tracker.hopeless(events.snapshot())

    def _pass_on(self, event: RecordedEvent) -> None:
        if event.type == EventType.RUN_PROGRESS:
            if self._throttle.offer(event.run_id, event):
                self._send([event])
            else:
                self.cursor = self._sent_so_far()
        elif event.type in _AFTER_PROGRESS and (held := self._throttle.release(event.run_id)):
            self._send([held, event])
        else:
            self._send([event])

    def _send(self, sent: Sequence[RecordedEvent]) -> None:
        for number, event in enumerate(sent, 1):
            envelope = seal(event, self._sent_so_far(but=sent[number:]))
            # First where a listener that catches up will find it, then to those who wait: one who
            # does both at this moment knows it again by its id, and never misses it.
            self.ring.append(envelope)
            self.cursor = envelope.cursor
            self.listeners.send(envelope)
            self.handed_over = envelope.cursor

    def _sent_so_far(self, but: Sequence[RecordedEvent] = ()) -> Cursor:
        """All that was read, but for what is held back."""
        cursor, held = self._tracker.cursor, self._throttle.held
        if not held and not but:
            return cursor
        unsent = {event.id for event in (*held.values(), *but)}
        return Cursor(cursor.highest, cursor.awaited | unsent)


class _Current:
    """The relay of this process, while it has one."""

    lock = threading.Lock()
    relay: Relay | None = None


def join(listener: Listener) -> Relay:
    """Add a listener to the relay of this process, making one when there is none."""
    with _Current.lock:
        if _Current.relay is None:
            _Current.relay = Relay()
        _Current.relay.listeners.add_listener(listener)
        return _Current.relay


def leave(relay: Relay, listener: Listener) -> None:
    """Remove a listener. May be called more than once."""
    relay.listeners.remove_listener(listener)
    relay.left()


def close_relay() -> None:
    """End the relay of this process; the next listener starts another."""
    with _Current.lock:
        relay, _Current.relay = _Current.relay, None
    if relay is not None:
        relay.stop()


def _has_ended(relay: Relay) -> bool:
    """Ends the relay when nobody has listened for a while; a newcomer finds none, and makes one."""
    with _Current.lock:
        if _Current.relay is relay and relay.may_end():
            _Current.relay = None
        return _Current.relay is not relay


@receiver(setting_changed, dispatch_uid="django_durably.sse")
def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in {"DURABLY", "DATABASES"}:
        close_relay()
