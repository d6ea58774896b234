"""The answers' types as pydantic models: FastAPI, django-ninja."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class CityMini(Row):
    id: int
    name: str


class CityFull(CityMini):
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


class Place(Row):
    code: str
    name: str


class CityNested(CityMini):
    population: int
    country: Place
    airports: list[Place]


class Updated(BaseModel):
    updated: int


class Me(Row):
    id: int
    username: str
    email: str
    is_staff: bool
