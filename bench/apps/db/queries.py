"""The cases' queries in Django's ORM, for the views of every stack with Django."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from bench.apps.db import data
from bench.apps.db.models import City, Counter, Fortune


def city_of(row: City) -> dict[str, Any]:
    return {name: getattr(row, name) for name in data.FULL}


def mini_of(row: City) -> dict[str, Any]:
    return {"id": row.id, "name": row.name}


def nested_of(row: City) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "population": row.population,
        "country": {"code": row.country.code, "name": row.country.name},
        "airports": [
            {"code": airport.code, "name": airport.name} for airport in row.airports.all()
        ],
    }


def ten(country: int) -> Any:
    return City.objects.filter(country_id=country).order_by("id")


def full10_set(country: int) -> Any:
    return ten(country).values(*data.FULL)[: data.LIMIT]


def mini10_set(country: int) -> Any:
    return ten(country).values(*data.MINI)[: data.LIMIT]


def nested_set(country: int) -> Any:
    return ten(country).select_related("country").prefetch_related("airports")[: data.LIMIT]


def one(key: int) -> dict[str, Any]:
    return city_of(City.objects.get(pk=key))


def full10(country: int) -> list[dict[str, Any]]:
    return list(full10_set(country))


def mini10(country: int) -> list[dict[str, Any]]:
    return list(mini10_set(country))


def nested(country: int) -> list[dict[str, Any]]:
    return [nested_of(row) for row in nested_set(country)]


def twenty() -> list[dict[str, Any]]:
    return [mini_of(City.objects.get(pk=key)) for key in data.TWENTY]


def four() -> list[dict[str, Any]]:
    return [mini_of(City.objects.get(pk=key)) for key in data.FOUR]


def fortunes() -> list[Fortune]:
    return with_added(list(Fortune.objects.all()))


def with_added(found: list[Fortune]) -> list[Fortune]:
    number, message = data.ADDED_FORTUNE
    found.append(Fortune(id=number, message=message))
    found.sort(key=lambda fortune: fortune.message)
    return found


def counters(first: int) -> Any:
    keys = range(first, first + data.LIMIT)
    return Counter.objects.select_for_update().filter(id__in=keys).order_by("id")


@transaction.atomic
def update10() -> dict[str, int]:
    rows = list(counters(data.block()))
    for row in rows:
        row.number += 1
    Counter.objects.bulk_update(rows, ["number"])
    return {"updated": len(rows)}


def user_of(user: Any) -> dict[str, Any]:
    return {name: getattr(user, name) for name in data.USER}
