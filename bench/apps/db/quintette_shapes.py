"""A compiled query with relations both ways, by shapes."""

from __future__ import annotations

from django.urls import path

from bench.apps.db import data
from bench.apps.db.models import Airport, City, Country
from bench.apps.db.queries import ten
from quintette import API
from quintette.db.compiled import compiled
from quintette.db.shapes import Shape

api = API(title="Bench", version="1")


class CountryOut(Shape, model=Country):
    code: str
    name: str


class AirportOut(Shape, model=Airport):
    code: str
    name: str


class CityOut(Shape, model=City):
    id: int
    name: str
    population: int
    country: CountryOut
    airports: list[AirportOut]


@compiled
def cities(country: int) -> list[CityOut]:
    return ten(country)[: data.LIMIT]


@api.get("/nested")
async def nested(country: int) -> list[CityOut]:
    return cities.json(country=country)


urlpatterns = [path("", api.urls)]
