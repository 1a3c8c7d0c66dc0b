"""What a run says of itself while it executes: logs."""

from collections.abc import Sequence
from typing import Any

from django_durably.storage import database
from django_durably.storage.changes import Change, LogRow

_COLUMNS = ("run_id", "step_name", "level", "message", "data", "timestamp")


def save(changes: Sequence[Change]) -> None:
    """Store the log entries that these changes carry, in their order."""
    rows = [_values(change, change.log) for change in changes if change.log is not None]
    if rows:
        database.insert("durably_logentry", _COLUMNS, rows)


def _values(change: Change, log: LogRow) -> tuple[Any, ...]:
    return (
        database.adapt_id(change.lease.run_id),
        log.step_name,
        log.level,
        log.message,
        log.data,
        database.adapt_time(log.timestamp),
    )
