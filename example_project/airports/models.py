from django.db import models


class Airport(models.Model):
    """An airport or landing strip, as the package airportsdata describes it."""

    icao = models.CharField("ICAO code", max_length=4, primary_key=True)
    iata = models.CharField("IATA code", max_length=3, blank=True, db_index=True)
    name = models.CharField(max_length=100)
    city = models.CharField(max_length=100, blank=True)
    subdivision = models.CharField(max_length=100, blank=True, help_text="State, region, …")
    country = models.CharField(max_length=2, db_index=True, help_text="ISO 3166-1 alpha-2")
    elevation = models.FloatField(help_text="Feet above sea level")
    latitude = models.FloatField(help_text="Degrees north")
    longitude = models.FloatField(help_text="Degrees east")
    time_zone = models.CharField(max_length=50, blank=True)

    class Meta:
        ordering = ["icao"]

    def __str__(self) -> str:
        return f"{self.icao} {self.name}"
