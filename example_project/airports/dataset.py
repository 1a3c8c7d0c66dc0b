"""The airports of the world: out of the CSV file of the package airportsdata, into the database."""

import csv
from collections.abc import Sequence
from importlib.resources import files

from django.db import connection

from example_project.airports.models import Airport

COLUMNS = {
    "icao": "icao",
    "iata": "iata",
    "name": "name",
    "city": "city",
    "subdivision": "subd",
    "country": "country",
    "elevation": "elevation",
    "latitude": "lat",
    "longitude": "lon",
    "time_zone": "tz",
}
"""The fields of `Airport`, and what the file calls them."""


def read(country: str | None = None) -> list[dict[str, str]]:
    """The rows of the file, of one country or of all: always the same, and in the same order."""
    with files("airportsdata").joinpath("airports.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if country in (None, row["country"])]


def save(rows: Sequence[dict[str, str]]) -> int:
    """Insert the rows, or update the airports that are there; returns how many rows that were.

    It may safely happen twice: a step that was interrupted by a crash does happen twice.
    """
    airports = [Airport(**{ours: row[theirs] for ours, theirs in COLUMNS.items()}) for row in rows]
    Airport.objects.bulk_create(
        airports,
        update_conflicts=True,
        update_fields=[field for field in COLUMNS if field != "icao"],
        # MariaDB finds the conflict by itself, and refuses to be told where to look.
        unique_fields=["icao"]
        if connection.features.supports_update_conflicts_with_target
        else None,
    )
    return len(airports)
