"""Following a run event by event, from any process."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

from asgiref.sync import sync_to_async

from django_durably.events import TERMINAL_EVENTS, Event, EventType
from django_durably.exceptions import NotFoundError
from django_durably.models import Run
from django_durably.models.run import TERMINAL
from django_durably.operations.waiting import AsyncHints, Clock, Hints
from django_durably.storage import database, present
from django_durably.storage import events as log
from django_durably.storage.cursors import Cursor
from django_durably.storage.events import ONLY_IN_LISTS, RecordedEvent

_PAGE: Final = 500
_KNOWN: Final = frozenset(EventType) - ONLY_IN_LISTS


class _Follower:
    """Where somebody who follows a run stands. A run's events commit in the order of their ids."""

    def __init__(self, run: Run, after: int | None) -> None:
        self._run = run
        self._after = after
        self._begun = False
        self.ended = False

    def look(self) -> list[Event]:
        """What is new since the last look. Raises NotFoundError when the run is gone."""
        if not self._begun:
            self._begun = True
            if self._after is None or not log.can_resume(Cursor(self._after)):
                return self._begin()
        # Before the log: an event that follows is then one that is still to be waited for.
        is_terminal = self._run_is_terminal()
        found = log.read_after(Cursor(self._after or 0), _PAGE, self._run.pk)
        self.ended = is_terminal and not found
        return self._pass_on(found)

    def _begin(self) -> list[Event]:
        state = present.of_run(self._run.pk)
        if state is None:
            raise NotFoundError("Run not found")
        told = self._pass_on(list(state.events))
        self._after = state.event_id
        return told

    def _run_is_terminal(self) -> bool:
        runs = Run.objects.using(database.connection().alias)
        status = runs.filter(pk=self._run.pk).values_list("status", flat=True).first()
        if status is None:
            raise NotFoundError("Run not found")
        return status in TERMINAL

    def _pass_on(self, found: list[RecordedEvent]) -> list[Event]:
        told = []
        for event in found:
            self._after = event.id
            if event.type in _KNOWN:
                told.append(_event(event))
                if event.type in TERMINAL_EVENTS:
                    self.ended = True
                    break
        return told


def _event(event: RecordedEvent) -> Event:
    return Event(
        EventType(event.type),
        event.run_id,
        event.job_name,
        event.labels,
        event.payload,
        event.created_at,
        event.id,
    )


def events(run: Run, after: int | None = None, timeout: float | None = None) -> Iterator[Event]:
    """See ``Run.events``."""
    follower, clock = _Follower(run, after), Clock(timeout)
    with Hints() as hints:
        while True:
            found = follower.look()
            yield from found
            if follower.ended:
                return
            if not found:
                hints.wait(clock, run)


async def aevents(
    run: Run, after: int | None = None, timeout: float | None = None
) -> AsyncIterator[Event]:
    """See ``Run.aevents``."""
    follower, clock = _Follower(run, after), Clock(timeout)
    look = sync_to_async(follower.look, thread_sensitive=True)
    async with AsyncHints() as hints:
        while True:
            found = await look()
            for event in found:
                yield event
            if follower.ended:
                return
            if not found:
                await hints.wait(clock, run)
