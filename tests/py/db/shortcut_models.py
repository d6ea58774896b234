"""Models with every kind of foreign key, in a registry of their own."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import models

REGISTRY = Apps()


class Country(models.Model):
    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=100)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class City(models.Model):
    name = models.CharField(max_length=100)
    country = models.ForeignKey(Country, models.CASCADE, related_name="cities")
    twin = models.ForeignKey("self", models.CASCADE, null=True, related_name="twins")
    born_in = models.ForeignKey(Country, models.CASCADE, null=True, related_name="born")
    uid = models.UUIDField(null=True)
    population = models.IntegerField()
    founded = models.DateField(null=True)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class Port(City):
    depth = models.FloatField()
    owner = models.OneToOneField(Country, models.CASCADE, to_field="code", null=True)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class Nickname(City):
    class Meta:
        apps, app_label, proxy = REGISTRY, "contenttypes", True
