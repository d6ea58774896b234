"""The answers' types as msgspec structs: Quintette, django-bolt, Litestar."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from msgspec import Struct


class CityMini(Struct):
    id: int
    name: str


class CityFull(Struct):
    id: int
    name: str
    country_id: int
    population: int
    latitude: float
    longitude: float
    area: Decimal
    founded: date
    updated: datetime
    capital: bool
    code: UUID
    motto: str | None


class Place(Struct):
    code: str
    name: str


class CityNested(Struct):
    id: int
    name: str
    population: int
    country: Place
    airports: list[Place]
