"""The database cases on django-bolt.

As its documents show: the asynchronous ORM, which it runs in its own bounded pool of threads; or a
query set that is returned, which it evaluates there by the declared type's fields.
"""

from __future__ import annotations

import os

from django.template.loader import render_to_string
from django_bolt import BoltAPI
from django_bolt.openapi import OpenAPIConfig
from django_bolt.responses import HTML

from bench.apps.db import async_queries, data, queries
from bench.apps.db.msgspec_types import CityFull, CityMini

api = BoltAPI(
    enable_logging=False,
    compression=False,
    validate_response=False,
    openapi_config=OpenAPIConfig(title="Bench", version="1", enabled=False),
    django_middleware=os.environ.get("BENCH_MIDDLEWARE") in ("session", "default"),
)


@api.get("/city/{key}")
async def one(key: int):
    return await async_queries.one(key)


@api.get("/cities")
async def full10(country: int):
    return await async_queries.full10(country)


@api.get("/cities-returned")
async def full10_returned(country: int) -> list[CityFull]:
    return queries.ten(country)[: data.LIMIT]


@api.get("/city-names")
async def mini10(country: int):
    return await async_queries.mini10(country)


@api.get("/city-names-returned")
async def mini10_returned(country: int) -> list[CityMini]:
    return queries.ten(country)[: data.LIMIT]


@api.get("/nested")
async def nested(country: int):
    return await async_queries.nested(country)


@api.get("/twenty")
async def twenty():
    return await async_queries.twenty()


@api.get("/twenty-in-turn")
async def twenty_in_turn():
    return await async_queries.twenty_in_turn()


@api.get("/fortunes")
async def fortunes():
    return HTML(render_to_string("fortunes.html", {"fortunes": await async_queries.fortunes()}))


@api.post("/update")
async def update10():
    return await async_queries.update10()


@api.get("/me")
async def me(request):
    return queries.user_of(await request.auser())
