"""How far airports are from each other."""

import heapq
from math import asin, cos, radians, sin, sqrt

from pydantic import BaseModel

from example_project.airports.models import Airport

EARTH_RADIUS_KM = 6371.0


class Place(BaseModel):
    icao: str
    name: str
    latitude: float
    longitude: float


class Neighbour(Place):
    kilometres: float


async def find(icao: str) -> Place:
    airport = await Airport.objects.filter(icao=icao).values(*Place.model_fields).afirst()
    if airport is None:
        raise LookupError(f"No airport {icao} in the database: run import-airports first.")
    return Place(**airport)


def nearest(origin: Place, count: int) -> list[Neighbour]:
    """The `count` airports nearest to the origin, without itself, the nearest first."""
    others = Airport.objects.exclude(icao=origin.icao).values(*Place.model_fields).iterator()
    places = (Place(**airport) for airport in others)
    distances = ((distance(origin, place), place.icao, place) for place in places)
    return [
        Neighbour(**place.model_dump(), kilometres=round(kilometres, 1))
        for kilometres, _, place in heapq.nsmallest(count, distances)
    ]


def distance(a: Place, b: Place) -> float:
    """Kilometres along the great circle between two places (the haversine formula)."""
    north_a, north_b = radians(a.latitude), radians(b.latitude)
    east = radians(b.longitude - a.longitude)
    h = sin((north_b - north_a) / 2) ** 2 + cos(north_a) * cos(north_b) * sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(h)))
