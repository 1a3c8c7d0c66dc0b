"""The jobs of the example, executed by the engine."""

from typing import Any

import pytest

from django_durably import Run
from django_durably.testing import run_until_idle
from example_project.airports import dataset
from example_project.airports.jobs import check_airports, import_airports, nearest_airports
from example_project.airports.models import Airport

pytestmark = pytest.mark.django_db


def airport(icao: str, **fields: Any) -> Airport:
    values = {"name": f"Airport {icao}", "city": "Somewhere", "country": "FJ"}
    places = {"elevation": 0, "latitude": 0, "longitude": 0, "time_zone": "Pacific/Fiji"}
    return Airport.objects.create(icao=icao, **{**values, **places, **fields})


def executed(run: Run) -> Run:
    run_until_idle()
    run.refresh_from_db()
    return run


def step_names(run: Run) -> list[str]:
    return [step.name for step in run.steps.filter(status="completed")]


class TestImport:
    def test_saves_a_country_in_steps(self) -> None:
        rows = dataset.read("FR")
        run = executed(import_airports.trigger({"country": "FR", "batch_size": 200}))
        assert run.output == {"saved": len(rows), "countries": 1}
        assert step_names(run) == [f"save-{i}" for i in range(-(-len(rows) // 200))]
        assert run.progress == {
            "current": len(rows),
            "total": len(rows),
            "message": f"saved {rows[-1]['icao']}",
        }
        assert Airport.objects.filter(country="FR").count() == Airport.objects.count() == len(rows)
        paris = Airport.objects.get(icao="LFPG")
        assert (paris.iata, paris.city, paris.time_zone) == ("CDG", "Paris", "Europe/Paris")

    def test_twice_is_as_good_as_once(self) -> None:
        executed(import_airports.trigger({"country": "LU"}))
        Airport.objects.filter(icao="ELLX").update(city="?")
        executed(import_airports.trigger({"country": "LU"}))
        assert Airport.objects.count() == len(dataset.read("LU"))
        assert Airport.objects.get(icao="ELLX").city != "?"

    def test_logs_what_it_did(self) -> None:
        run = executed(import_airports.trigger({"country": "LU"}))
        messages = [(entry.message, entry.data) for entry in run.logs.all()]
        assert messages[-1] == ("saved", {"airports": len(dataset.read("LU"))})

    def test_says_when_a_country_has_none(self) -> None:
        run = executed(import_airports.trigger({"country": "QQ"}))
        assert (run.status, run.error) == ("failed", "The file has no airports of QQ.")


class TestNearest:
    def test_finds_the_nearest_first(self) -> None:
        for icao, longitude in [("AAAA", 0), ("BBBB", 2), ("CCCC", -1), ("DDDD", 90)]:
            airport(icao, longitude=longitude)
        run = executed(nearest_airports.trigger({"icao": "AAAA", "count": 2}))
        places: Any = run.output
        assert [place["icao"] for place in places] == ["CCCC", "BBBB"]
        # A degree of the equator, on a globe of 6,371 km radius.
        assert places[0]["kilometres"] == pytest.approx(111.2)
        assert step_names(run) == ["find", "measure"]

    def test_says_when_the_airport_is_not_there(self) -> None:
        run = executed(nearest_airports.trigger({"icao": "ZZZZ"}))
        assert run.status == "failed"
        assert run.error == "No airport ZZZZ in the database: run import-airports first."


class TestCheck:
    def test_fails_half_way_and_succeeds_when_the_data_is_mended(self) -> None:
        airport("NFFN")
        wrong = airport("NFNL", name="Labasa Airport", city="")
        failed = executed(check_airports.trigger({"country": "FJ"}))
        assert failed.status == "failed"
        assert failed.error is not None
        assert failed.error.startswith("1 airport without a city: NFNL Labasa Airport.")
        assert step_names(failed) == ["imported", "coordinates", "time-zones"]

        wrong.city = "Labasa"
        wrong.save()
        assert executed(failed.retrigger()).output == {"airports": 2, "missing_cities": 0}

    def test_allows_what_its_input_allows(self) -> None:
        airport("NFNL", city="")
        run = executed(check_airports.trigger({"allow_missing_cities": 1}))
        assert run.output == {"airports": 1, "missing_cities": 1}

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [({"latitude": 91}, "nowhere on Earth"), ({"time_zone": ""}, "without a time zone")],
    )
    def test_names_the_airport_that_is_wrong(self, fields: dict[str, Any], reason: str) -> None:
        airport("NFFN", **fields)
        run = executed(check_airports.trigger({"country": "FJ"}))
        assert run.error is not None
        assert run.error.startswith(f"1 airport {reason}: NFFN Airport NFFN.")

    def test_asks_for_the_import_first(self) -> None:
        run = executed(check_airports.trigger({"country": "FJ"}))
        assert run.error == "No airports of FJ in the database: run import-airports first."
