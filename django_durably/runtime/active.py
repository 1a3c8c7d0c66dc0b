"""The runs that this process executes now, and its free slots."""

import threading
import time
from dataclasses import dataclass

from django_durably.runtime.context import BaseContext
from django_durably.runtime.interruption import CANCELLED, LEASE_LOST, SHUTDOWN
from django_durably.storage.changes import Claimed, Lease


@dataclass(frozen=True, slots=True)
class Execution:
    run: Claimed
    context: BaseContext


class ActiveRuns:
    """Executions by their lease; safe to use from every thread.

    A slot is free as soon as the body has ended; the lease stays here until its end is committed,
    so that it is renewed until then.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._busy = 0
        self._executions: dict[Lease, Execution] = {}
        self._ended: set[Lease] = set()
        self._changed = threading.Condition()

    @property
    def free_slots(self) -> int:
        return self.slots - self._busy

    @property
    def busy(self) -> int:
        return self._busy

    def add(self, execution: Execution, deadline: float) -> None:
        execution.context.lease_deadline = deadline
        with self._changed:
            self._busy += 1
            self._executions[execution.run.lease] = execution

    def end(self, lease: Lease) -> bool:
        """Free the slot of a body that has ended; False when somebody has said so before.

        Only the first may settle the run: at shutdown a body may end just when it is given up.
        """
        with self._changed:
            if lease in self._ended or lease not in self._executions:
                return False
            self._ended.add(lease)
            self._busy -= 1
            return True

    def remove(self, lease: Lease) -> None:
        with self._changed:
            self._executions.pop(lease, None)
            self._ended.discard(lease)
            self._changed.notify_all()

    def leases(self) -> list[Lease]:
        with self._changed:
            return list(self._executions)

    def get(self, lease: Lease) -> Execution | None:
        return self._executions.get(lease)

    def renewed(self, lease: Lease, deadline: float) -> None:
        execution = self.get(lease)
        if execution is not None:
            execution.context.lease_deadline = deadline

    def lost(self, lease: Lease, status: str | None) -> None:
        """Tell the body that its run was cancelled, or taken by another worker."""
        execution = self.get(lease)
        if execution is not None:
            execution.context.interrupt(CANCELLED if status == "cancelled" else LEASE_LOST)

    def abort_overdue(self) -> None:
        """Abort what could not be renewed in time, before another worker may take it."""
        now = time.monotonic()
        for lease in self.leases():
            execution = self.get(lease)
            if execution is not None and now > execution.context.lease_deadline:
                execution.context.interrupt(LEASE_LOST)

    def shut_down(self) -> None:
        for lease in self.leases():
            execution = self.get(lease)
            if execution is not None:
                execution.context.interrupt(SHUTDOWN)

    def wait_until_empty(self, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._executions, timeout)
