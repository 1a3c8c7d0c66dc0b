"""Who listens in this process: django-eventstream's listeners and their bounded queues.

The manager is an instance of our own. django-eventstream's, which is global, belongs to the site's
own event endpoints: whoever may read those would see our channels there.
"""

import threading
from contextlib import suppress

from django_eventstream.views import Listener as EventstreamListener
from django_eventstream.views import ListenerManager

from django_durably.sse.channels import Channel, ListChannel, RunChannel
from django_durably.sse.envelopes import Envelope


class Listener(EventstreamListener):  # type: ignore[misc]
    """One listener on one channel, to be made and used on an event loop."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.channel = channel
        self.channels: set[Channel] = {channel}
        self.overflow = False
        self._woken = False
        self.assign_loop()

    def wake_threadsafe(self) -> None:
        """Wake the loop, once until something is taken. The manager calls it under its lock."""
        if not self._woken:
            self._woken = True
            # The loop may be closed already while the server stops.
            with suppress(RuntimeError):
                super().wake_threadsafe()

    def take(self) -> tuple[list[Envelope], bool]:
        """What waits, and whether more came than there was room for. Needs the manager's lock."""
        waiting, overrun = self.channel_items.pop(self.channel, []), self.overflow
        self.overflow = self._woken = False
        self.aevent.clear()
        return waiting, overrun


class Listeners(ListenerManager):  # type: ignore[misc]
    """The listeners of one relay, by channel."""

    def __init__(self) -> None:
        # Not the manager's own: it would subscribe to the site's Redis (EVENTSTREAM_REDIS) once
        # more, and every event of the site would reach its pages twice.
        self.lock = threading.Lock()
        self.listeners_by_channel: dict[Channel, set[Listener]] = {}
        self.redis_listener = None
        self._lists: tuple[ListChannel, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.listeners_by_channel)

    def __len__(self) -> int:
        with self.lock:
            return sum(map(len, self.listeners_by_channel.values()))

    def send(self, event: Envelope) -> None:
        """Queue the event for everybody who wants it. A full queue is marked as overrun."""
        channels: tuple[Channel, ...] = (RunChannel(event.run_id), *self._lists)
        for channel in channels:
            if channel.wants(event):
                self.add_to_queues(channel, event)

    def take(self, listener: Listener) -> tuple[list[Envelope], bool]:
        with self.lock:
            return listener.take()

    def have_for(self, listener: Listener) -> bool:
        """Whether something waits for this listener."""
        with self.lock:
            return bool(listener.channel_items) or listener.overflow

    def wake_all(self) -> None:
        with self.lock:
            for listeners in self.listeners_by_channel.values():
                for listener in listeners:
                    listener.wake_threadsafe()

    def add_listener(self, listener: Listener) -> None:
        # The manager's own does the same, and writes a line to the site's log for each.
        with self.lock:
            self.listeners_by_channel.setdefault(listener.channel, set()).add(listener)
            self._note_lists()

    def remove_listener(self, listener: Listener) -> None:
        """Forget the listener. May be called more than once."""
        with self.lock:
            listeners = self.listeners_by_channel.get(listener.channel, set())
            listeners.discard(listener)
            if not listeners:
                self.listeners_by_channel.pop(listener.channel, None)
                self._note_lists()

    def _note_lists(self) -> None:
        # Replaced, never altered: the relay reads it without the lock.
        channels = self.listeners_by_channel
        self._lists = tuple(each for each in channels if isinstance(each, ListChannel))
