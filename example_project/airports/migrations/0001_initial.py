from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Airport",
            fields=[
                (
                    "icao",
                    models.CharField(
                        max_length=4, primary_key=True, serialize=False, verbose_name="ICAO code"
                    ),
                ),
                (
                    "iata",
                    models.CharField(
                        blank=True, db_index=True, max_length=3, verbose_name="IATA code"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("city", models.CharField(blank=True, max_length=100)),
                (
                    "subdivision",
                    models.CharField(blank=True, help_text="State, region, …", max_length=100),
                ),
                (
                    "country",
                    models.CharField(db_index=True, help_text="ISO 3166-1 alpha-2", max_length=2),
                ),
                ("elevation", models.FloatField(help_text="Feet above sea level")),
                ("latitude", models.FloatField(help_text="Degrees north")),
                ("longitude", models.FloatField(help_text="Degrees east")),
                ("time_zone", models.CharField(blank=True, max_length=50)),
            ],
            options={
                "ordering": ["icao"],
            },
        ),
    ]
