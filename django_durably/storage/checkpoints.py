"""Steps: the tries of a run's pieces. A completed try is a checkpoint."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime

from django_durably.storage import database
from django_durably.storage.changes import Change, StepRow

_COLUMNS = (
    "run_id",
    "name",
    "index",
    "attempt",
    "status",
    "output",
    "error",
    "started_at",
    "completed_at",
    "lease_generation",
    "worker",
)


def load(run_ids: Sequence[UUID]) -> dict[UUID, tuple[StepRow, ...]]:
    """All tries of the steps of these runs, in order."""
    steps: defaultdict[UUID, list[StepRow]] = defaultdict(list)
    name = database.connection().ops.quote_name
    for ids in database.chunked(run_ids, database.ROWS_PER_STATEMENT):
        rows = database.select(
            f"SELECT run_id, name, {name('index')}, attempt, status, output, error, started_at, "
            f"completed_at FROM durably_step WHERE run_id IN ({database.placeholders(len(ids))}) "
            f"ORDER BY {name('index')}, attempt",
            [database.adapt_id(id_) for id_ in ids],
        )
        for row in rows:
            steps[database.read_id(row[0])].append(_read(row[1:]))
    return {run_id: tuple(tries) for run_id, tries in steps.items()}


def tries(run_ids: Sequence[UUID]) -> set[tuple[UUID, int, str, int]]:
    """The tries that are stored of these runs: run, lease generation, name and attempt."""
    found: set[tuple[UUID, int, str, int]] = set()
    for ids in database.chunked(run_ids, database.ROWS_PER_STATEMENT):
        rows = database.select(
            "SELECT run_id, lease_generation, name, attempt FROM durably_step "
            f"WHERE run_id IN ({database.placeholders(len(ids))})",
            [database.adapt_id(id_) for id_ in ids],
        )
        found |= {(database.read_id(run_id), *rest) for run_id, *rest in rows}
    return found


def save(changes: Sequence[Change]) -> None:
    """Store the tries that these changes carry."""
    rows = [_values(change, change.step) for change in changes if change.step is not None]
    if rows:
        database.insert("durably_step", _COLUMNS, rows)


def forget(run_ids: Sequence[UUID]) -> None:
    """Drop the steps of runs that ended, where the project does not keep them."""
    if run_ids:
        database.execute(
            f"DELETE FROM durably_step WHERE run_id IN ({database.placeholders(len(run_ids))})",
            [database.adapt_id(id_) for id_ in run_ids],
        )


def _values(change: Change, step: StepRow) -> tuple[Any, ...]:
    return (
        database.adapt_id(change.lease.run_id),
        step.name,
        step.index,
        step.attempt,
        step.status,
        step.output,
        step.error,
        database.adapt_time(step.started_at),
        database.adapt_time(step.completed_at),
        change.lease.generation,
        change.lease.owner,
    )


def _read(values: Sequence[Any]) -> StepRow:
    *columns, started_at, completed_at = values
    name, index, attempt, status, output, error = columns
    times = (_read_time(started_at), _read_time(completed_at))
    return StepRow(name, index, attempt, status, output, error, *times)


def _read_time(value: Any) -> datetime:
    """A time as a cursor returns it: text on SQLite, without a zone there and on MariaDB."""
    time = parse_datetime(value) if isinstance(value, str) else value
    assert isinstance(time, datetime)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
