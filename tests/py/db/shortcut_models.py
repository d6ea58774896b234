"""Models with every kind of foreign key, in a registry of their own."""

from __future__ import annotations

from typing import Any, ClassVar

from django.apps.registry import Apps
from django.db import models
from django.db.models.expressions import Col

REGISTRY = Apps()


class Country(models.Model):
    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=100)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class Person(models.Model):
    badge = models.IntegerField(null=True, unique=True)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class OddColumn(Col):
    """Knows who asked for it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked = object()


class OddField(models.CharField):  # type: ignore[type-arg]
    def get_col(self, alias: Any, output_field: Any = None) -> Any:
        return OddColumn(alias, self, output_field or self)


class Unequal(models.Field):  # type: ignore[type-arg]
    """Of which nothing is known but that it exists."""

    class_lookups: ClassVar[dict[str, Any]] = {}

    def get_lookup(self, name: str) -> Any:
        return None


@OddField.register_lookup
class Same(models.Transform):
    lookup_name = "same"
    output_field = Unequal()


class City(models.Model):
    name = models.CharField(max_length=100)
    country = models.ForeignKey(Country, models.CASCADE, related_name="cities")
    twin = models.ForeignKey("self", models.CASCADE, null=True, related_name="twins")
    born_in = models.ForeignKey(Country, models.CASCADE, null=True, related_name="born")
    uid = models.UUIDField(null=True)
    population = models.IntegerField()
    founded = models.DateField(null=True)
    mayor = models.ForeignKey(
        Person, models.CASCADE, null=True, to_field="badge", related_name="cities"
    )
    odd = OddField(max_length=10, default="")

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
