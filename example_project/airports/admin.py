from django.contrib import admin
from django.http import HttpRequest

from example_project.airports.models import Airport


@admin.register(Airport)
class AirportAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["icao", "iata", "name", "city", "country", "elevation", "time_zone"]
    search_fields = ["=icao", "=iata", "name", "city", "=country"]

    def get_readonly_fields(self, request: HttpRequest, obj: Airport | None = None) -> list[str]:
        return ["icao"] if obj else []
