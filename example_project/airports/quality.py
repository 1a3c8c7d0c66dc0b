"""What can be wrong with the airports of a country, said so that a person can mend it."""

from django.db.models import Q, QuerySet

from example_project.airports.models import Airport


class DataProblem(Exception):
    """What is wrong, and how to mend it."""


def check_imported(country: str) -> int:
    """How many airports there are."""
    count = _airports(country).count()
    if not count:
        raise DataProblem(f"No airports of {country} in the database: run import-airports first.")
    return count


def check_coordinates(country: str) -> None:
    impossible = _airports(country).exclude(latitude__range=(-90, 90), longitude__range=(-180, 180))
    _refuse(impossible, "nowhere on Earth")


def check_time_zones(country: str) -> None:
    _refuse(_airports(country).filter(Q(time_zone="") & ~Q(country="AQ")), "without a time zone")


def check_cities(country: str, allowed: int = 0) -> int:
    """How many airports have no city; they may be as many as `allowed`."""
    nameless = _airports(country).filter(city="")
    count = nameless.count()
    if count > allowed:
        _refuse(nameless, "without a city")
    return count


def _airports(country: str) -> QuerySet[Airport]:
    return Airport.objects.filter(country=country)


def _refuse(airports: QuerySet[Airport], problem: str) -> None:
    if count := airports.count():
        what = "1 airport" if count == 1 else f"{count} airports"
        named = ", ".join(str(airport) for airport in airports[:3])
        more = ", …" if count > 3 else ""
        mend = "Correct this in the admin, then retrigger."
        raise DataProblem(f"{what} {problem}: {named}{more}. {mend}")
