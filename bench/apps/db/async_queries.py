"""The same queries under the ORM's asynchronous names, for every stack that has them."""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import sync_to_async

from bench.apps.db import data, queries
from bench.apps.db.models import City, Fortune

# Django has no asynchronous transaction: its documentation puts the whole block behind this.
update10 = sync_to_async(queries.update10)


async def one(key: int) -> dict[str, Any]:
    return queries.city_of(await City.objects.aget(pk=key))


async def full10(country: int) -> list[dict[str, Any]]:
    return [row async for row in queries.full10_set(country)]


async def mini10(country: int) -> list[dict[str, Any]]:
    return [row async for row in queries.mini10_set(country)]


async def nested(country: int) -> list[dict[str, Any]]:
    return [queries.nested_of(row) async for row in queries.nested_set(country)]


async def twenty() -> list[dict[str, Any]]:
    rows = await asyncio.gather(*(City.objects.aget(pk=key) for key in data.TWENTY))
    return [queries.mini_of(row) for row in rows]


async def twenty_in_turn() -> list[dict[str, Any]]:
    return [queries.mini_of(await City.objects.aget(pk=key)) for key in data.TWENTY]


async def fortunes() -> list[Fortune]:
    return queries.with_added([row async for row in Fortune.objects.all()])
