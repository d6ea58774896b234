"""One of each kind of relation, and one of each kind of field."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Continent(models.TextChoices):
    ASIA = "AS", "Asia"
    EUROPE = "EU", "Europe"


class Country(models.Model):
    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=100, unique=True, help_text="In English")
    continent = models.CharField(max_length=2, choices=Continent)
    area = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["name"]

    @property
    def shout(self) -> str:
        return self.name.upper()


class Tag(models.Model):
    label = models.CharField(max_length=20, unique=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")

    class Meta:
        ordering = ["label"]


class Note(models.Model):
    text = models.CharField(max_length=100)
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    # Of another type than the keys that it holds, as it may have to hold those of any model.
    object_id = models.CharField(max_length=40)
    target = GenericForeignKey("content_type", "object_id")

    class Meta:
        ordering = ["text"]


class City(models.Model):
    name = models.CharField(max_length=100)
    population = models.PositiveIntegerField(default=0)
    motto = models.CharField(max_length=100, null=True, blank=True)
    country = models.ForeignKey(Country, models.CASCADE, related_name="cities")
    sister = models.ForeignKey("self", models.SET_NULL, null=True, blank=True)
    tags = models.ManyToManyField(Tag, related_name="cities", blank=True)
    twins = models.ManyToManyField("self", blank=True)
    hidden_tags = models.ManyToManyField(Tag, related_name="+", blank=True)
    notes = GenericRelation(Note)
    facts = models.JSONField(default=dict, blank=True)
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-population", "name"]
        constraints = [
            models.UniqueConstraint(fields=["country", "name"], name="one_name_in_a_country")
        ]


class Mayor(models.Model):
    """The other end of a one-to-one relation; its key is no number."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    city = models.OneToOneField(City, models.CASCADE, related_name="mayor")
    name = models.CharField(max_length=100)


class Airport(models.Model):
    iata = models.CharField(max_length=3, unique=True)
    city = models.ForeignKey(City, models.CASCADE)  # no related_name: airport_set
    passengers = models.IntegerField(null=True, blank=True)

    class Meta:
        ordering = ["iata"]


class Flight(models.Model):
    """Foreign keys that do not mean a primary key."""

    number = models.IntegerField()
    origin = models.ForeignKey(Airport, models.CASCADE, to_field="iata", related_name="departures")
    goal = models.ForeignKey(
        Airport, models.CASCADE, to_field="iata", null=True, related_name="arrivals"
    )

    class Meta:
        ordering = ["number"]


class Everything(models.Model):
    flag = models.BooleanField(default=True)
    whole = models.BigIntegerField(default=2**40)
    real = models.FloatField(default=0.1)
    exact = models.DecimalField(max_digits=8, decimal_places=3, default=Decimal("1.500"))
    text = models.TextField(default='é"\\\n')
    data = models.BinaryField(default=b"\x00\xff")
    day = models.DateField(default=date(2024, 2, 29))
    at = models.DateTimeField(default=datetime(2024, 2, 29, 12, 30, 1, 5, UTC))
    clock = models.TimeField(default=time(12, 30, 0, 7))
    span = models.DurationField(default=timedelta(days=1, microseconds=3))
    key = models.UUIDField(default=uuid.UUID(int=5))
    document = models.JSONField(default=dict)
    file = models.FileField(upload_to="files", default="")
    address = models.GenericIPAddressField(default="127.0.0.1")


class Capital(City):
    """Of a table of its own beside its parent's."""

    since = models.IntegerField()

    class Meta:
        ordering = ["since"]


class BigCity(City):
    class Meta:
        proxy = True


class Visit(models.Model):
    """Leads to a subclass and to a proxy."""

    capital = models.ForeignKey(Capital, models.CASCADE, related_name="visits")
    city = models.ForeignKey(BigCity, models.CASCADE, related_name="visits")
    number = models.IntegerField()
