"""The jobs of this app. Every installed app's `jobs.py` is imported by itself.

A job's annotations are its schema; what a step returned is kept, so that a run that was
interrupted goes on from there.
"""

from typing import Annotated

from pydantic import BaseModel, Field

from django_durably import AsyncStepContext, StepContext, job
from example_project.airports import dataset, geography, quality

Country = Annotated[str, Field(pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2, like FR")]


class ImportInput(BaseModel):
    country: Country | None = None
    batch_size: Annotated[int, Field(ge=1, le=5000)] = 500


class ImportOutput(BaseModel):
    saved: int
    countries: int


@job("import-airports")
def import_airports(step: StepContext, input: ImportInput) -> ImportOutput:
    """Saves the airports of the world in steps of 500. Kill the worker: the next one goes on."""
    # Not a step: reading again gives the same rows, and is cheaper than keeping them all.
    rows = dataset.read(input.country)
    if not rows:
        raise LookupError(f"The file has no airports of {input.country}.")
    step.log.info("read the file", {"rows": len(rows), "country": input.country})

    saved = 0
    for number, start in enumerate(range(0, len(rows), input.batch_size)):
        batch = rows[start : start + input.batch_size]
        saved += step.run(f"save-{number}", dataset.save, batch)
        step.progress(saved, len(rows), f"saved {batch[-1]['icao']}")

    step.log.info("saved", {"airports": saved})
    return ImportOutput(saved=saved, countries=len({row["country"] for row in rows}))


class NearestInput(BaseModel):
    icao: Annotated[str, Field(pattern="^[A-Z0-9_]{3,4}$", description="ICAO code, like LFPG")]
    count: Annotated[int, Field(ge=1, le=50)] = 5


@job("nearest-airports")
async def nearest_airports(
    step: AsyncStepContext, input: NearestInput
) -> list[geography.Neighbour]:
    """An async job. `find` is awaited on the event loop, `nearest` runs in a thread."""
    origin = await step.run("find", geography.find, input.icao)
    step.progress(1, 2, f"measuring from {origin.name}")
    neighbours = await step.run("measure", geography.nearest, origin, input.count)
    step.progress(2, 2, "measured")
    return neighbours


class CheckInput(BaseModel):
    country: Country = "FJ"
    allow_missing_cities: Annotated[int, Field(ge=0)] = 0


class CheckOutput(BaseModel):
    airports: int
    missing_cities: int


@job("check-airports")
def check_airports(step: StepContext, input: CheckInput) -> CheckOutput:
    """Fails half-way where the data is wrong. Correct the data in the admin and retrigger it."""
    airports = step.run("imported", quality.check_imported, input.country)
    step.progress(1, 4, "imported")
    step.run("coordinates", quality.check_coordinates, input.country)
    step.progress(2, 4, "coordinates")
    step.run("time-zones", quality.check_time_zones, input.country)
    step.progress(3, 4, "time zones")
    missing = step.run("cities", quality.check_cities, input.country, input.allow_missing_cities)
    step.progress(4, 4, "cities")
    return CheckOutput(airports=airports, missing_cities=missing)
