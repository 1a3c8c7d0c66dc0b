"""Which names occur in millions of rows: one step through an index for each, not a scan."""

from typing import Any, NamedTuple
from uuid import UUID

from django_durably.storage import database

MOST = 500
"""How many names are listed at most."""

# Each round looks up the first name after the one before: a skip scan, by hand.
_NAMES = """
    WITH RECURSIVE found(name) AS (
        SELECT MIN({column}) FROM {table} WHERE {condition}
        UNION ALL
        SELECT (SELECT MIN({column}) FROM {table} WHERE {condition} AND {column} > found.name)
        FROM found WHERE found.name IS NOT NULL
    )
"""


class Head(NamedTuple):
    """The first run in the queue of a job."""

    job_name: str
    run_id: UUID
    created_at: Any


def job_names() -> list[str]:
    """The jobs that have runs, sorted."""
    return _names("durably_run", "job_name")


def label_keys() -> list[str]:
    """The keys of the labels that runs carry, sorted."""
    return _names("durably_runlabel", database.connection().ops.quote_name("key"))


def _names(table: str, column: str) -> list[str]:
    walk = _NAMES.format(table=table, column=column, condition="1 = 1")
    rows = database.select(f"{walk} SELECT name FROM found WHERE name IS NOT NULL LIMIT {MOST}")
    return [row[0] for row in rows]


def queue_heads() -> list[Head]:
    """For each job with claimable runs the one that is next, the longest waiting first."""
    condition = database.claimable()
    walk = _NAMES.format(table="durably_run", column="job_name", condition=condition)
    rows = database.select(
        f"{walk} SELECT r.job_name, r.id, r.created_at FROM found JOIN durably_run AS r ON r.id = "
        f"(SELECT id FROM durably_run WHERE {condition} AND job_name = found.name "
        f"ORDER BY job_name, created_at, id LIMIT 1) LIMIT {MOST}"
    )
    parse = _converter()
    heads = [Head(row[0], database.read_id(row[1]), parse(row[2])) for row in rows]
    return sorted(heads, key=lambda head: head.created_at)


def _converter() -> Any:
    from datetime import UTC, datetime

    def parse(value: Any) -> datetime:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    return parse
