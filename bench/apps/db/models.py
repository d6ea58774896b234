"""The tables, as Django sees them. ``sqlalchemy_models`` maps the same."""

from __future__ import annotations

from django.db import models


class Country(models.Model):
    code = models.CharField(max_length=2, unique=True)
    name = models.CharField(max_length=100)

    class Meta:
        db_table = "country"


class City(models.Model):
    name = models.CharField(max_length=100)
    country = models.ForeignKey(Country, models.CASCADE, related_name="cities")
    population = models.BigIntegerField()
    latitude = models.FloatField()
    longitude = models.FloatField()
    area = models.DecimalField(max_digits=10, decimal_places=2)
    founded = models.DateField()
    updated = models.DateTimeField()
    capital = models.BooleanField()
    code = models.UUIDField()
    motto = models.TextField(null=True)

    class Meta:
        db_table = "city"


class Airport(models.Model):
    code = models.CharField(max_length=8)
    name = models.CharField(max_length=100)
    city = models.ForeignKey(City, models.CASCADE, related_name="airports")

    class Meta:
        db_table = "airport"


class Fortune(models.Model):
    message = models.CharField(max_length=200)

    class Meta:
        db_table = "fortune"


class Counter(models.Model):
    number = models.BigIntegerField()

    class Meta:
        db_table = "counter"
