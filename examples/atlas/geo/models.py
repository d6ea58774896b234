from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from geo.distance import bounding_box, distance_km
from geo.text import fold


class Continent(models.TextChoices):
    AFRICA = "AF", "Africa"
    ANTARCTICA = "AN", "Antarctica"
    ASIA = "AS", "Asia"
    EUROPE = "EU", "Europe"
    NORTH_AMERICA = "NA", "North America"
    OCEANIA = "OC", "Oceania"
    SOUTH_AMERICA = "SA", "South America"


class Country(models.Model):
    code = models.CharField("ISO code", max_length=2, primary_key=True)
    iso3 = models.CharField("ISO code of three letters", max_length=3, unique=True)
    name = models.CharField(max_length=100, unique=True)
    capital = models.CharField(max_length=100, blank=True)
    continent = models.CharField(max_length=2, choices=Continent)
    population = models.PositiveBigIntegerField(db_index=True)
    area_km2 = models.PositiveIntegerField("area in km²")
    currency = models.CharField(max_length=3, blank=True)
    currency_name = models.CharField(max_length=50, blank=True)
    languages = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "countries"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("geo:country", args=[self.code])

    @property
    def density(self) -> float | None:
        """Inhabitants per km², where there is land to speak of."""
        return self.population / self.area_km2 if self.area_km2 else None


class CityQuerySet(models.QuerySet["City"]):
    def search(self, text: str) -> "CityQuerySet":
        """Cities with `text` in their name, whatever its accents and case."""
        return self.filter(folded_name__contains=fold(text))

    def within(self, latitude: float, longitude: float, radius_km: float) -> "CityQuerySet":
        """Cities in the smallest box of coordinates around a circle: a few more than in the circle.

        The index on the latitude makes this cheap; the caller measures what is left.
        """
        box = bounding_box(latitude, longitude, radius_km)
        spans = models.Q()
        for west, east in box.longitudes:
            spans |= models.Q(longitude__range=(west, east))
        return self.filter(spans, latitude__range=(box.south, box.north))

    def nearest(
        self, latitude: float, longitude: float, radius_km: float, limit: int
    ) -> "list[tuple[float, City]]":
        """Up to `limit` (distance in km, city) pairs within the radius, the nearest first."""
        measured = (
            (distance_km(latitude, longitude, city.latitude, city.longitude), city)
            for city in self.within(latitude, longitude, radius_km).select_related("country")
        )
        near = [pair for pair in measured if pair[0] <= radius_km]
        near.sort(key=lambda pair: (pair[0], pair[1].pk))
        return near[:limit]


class City(models.Model):
    # Null for a city that did not come from GeoNames.
    geonameid = models.PositiveIntegerField("GeoNames id", unique=True, null=True, blank=True)
    name = models.CharField(max_length=100)
    folded_name = models.CharField(max_length=100, db_index=True, editable=False)
    country = models.ForeignKey(Country, models.PROTECT, related_name="cities")
    admin1 = models.CharField("first-order division", max_length=8, blank=True)
    population = models.PositiveIntegerField(default=0)
    latitude = models.FloatField(
        db_index=True, validators=[MinValueValidator(-90), MaxValueValidator(90)]
    )
    longitude = models.FloatField(validators=[MinValueValidator(-180), MaxValueValidator(180)])
    timezone = models.CharField(max_length=40)

    objects: ClassVar[models.Manager["City"]] = CityQuerySet.as_manager()

    class Meta:
        ordering = ["-population", "pk"]
        verbose_name_plural = "cities"
        indexes = [
            models.Index(fields=["-population", "id"], name="city_by_size"),
            models.Index(fields=["country", "-population", "id"], name="city_by_country_size"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        self.folded_name = fold(self.name)
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def get_absolute_url(self) -> str:
        return reverse("geo:city", args=[self.pk])
