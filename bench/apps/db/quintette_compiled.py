"""Compiled queries, from rows to the response's bytes without an object per row."""

from __future__ import annotations

import asyncio

from django.urls import path

from bench.apps.db import data
from bench.apps.db.models import City
from bench.apps.db.msgspec_types import CityFull, CityMini
from bench.apps.db.queries import ten
from quintette import API
from quintette.db.compiled import compiled

api = API(title="Bench", version="1")


@compiled
def city(key: int) -> CityFull:
    return City.objects.filter(pk=key)


@compiled
def city_mini(key: int) -> CityMini:
    return City.objects.filter(pk=key)


@compiled
def cities(country: int) -> list[CityFull]:
    return ten(country)[: data.LIMIT]


@compiled
def city_names(country: int) -> list[CityMini]:
    return ten(country)[: data.LIMIT]


@api.get("/city/{key}")
async def one(key: int) -> CityFull:
    return city.json(key=key)


@api.get("/cities")
async def full10(country: int) -> list[CityFull]:
    return cities.json(country=country)


@api.get("/city-names")
async def mini10(country: int) -> list[CityMini]:
    return city_names.json(country=country)


@api.get("/twenty")
async def twenty() -> list[CityMini]:
    return await asyncio.gather(*(city_mini(key=key) for key in data.TWENTY))


@api.get("/twenty-in-turn")
async def twenty_in_turn() -> list[CityMini]:
    return [await city_mini(key=key) for key in data.TWENTY]


urlpatterns = [path("", api.urls)]
