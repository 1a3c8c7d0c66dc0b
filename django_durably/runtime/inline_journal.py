"""The journal without its thread, for executing runs in the calling one."""

from asgiref.sync import sync_to_async
from django.db import DatabaseError

from django_durably import signals
from django_durably.runtime.journal import NotStored, Resolve, why_lost
from django_durably.storage import batches
from django_durably.storage.batches import Committed
from django_durably.storage.changes import Change


class InlineJournal:
    """The same promises without a thread: changes are committed by their caller, on its connection.

    Reports wait for the next change that is stored: a body on an event loop may not touch the
    database where it makes them.
    """

    has_own_connection = False

    def __init__(self) -> None:
        self._reports: list[Change] = []

    def submit(self, change: Change) -> None:
        self._reports.append(change)

    def slow_down(self) -> None:
        pass

    def store(self, change: Change) -> None:
        error = self._commit(change)
        if error is not None:
            raise error

    async def astore(self, change: Change) -> None:
        await sync_to_async(self.store, thread_sensitive=True)(change)

    def settle(self, change: Change, resolve: Resolve) -> None:
        try:
            resolve(self._commit(change))
        except NotStored as error:
            resolve(error)

    def flush(self) -> None:
        """Commit the reports that nothing followed."""
        reports, self._reports = self._reports, []
        self._commit_all(reports)

    def _commit(self, change: Change) -> BaseException | None:
        self.flush()
        return why_lost(change.lease, self._commit_all([change]))

    def _commit_all(self, changes: list[Change]) -> Committed:
        try:
            committed = batches.commit(changes)
        except DatabaseError as error:
            raise NotStored(f"The database refused the change: {error}") from error
        signals.send_recorded(committed.drafts, committed.event_ids)
        return committed
