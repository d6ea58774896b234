"""The ORM under its asynchronous names, in typed routes; plain views for templates and sessions.

No types of results, as in the other applications that return dicts: one would have them checked.
"""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest
from django.urls import path

from bench.apps.db import async_queries as queries
from bench.apps.db import async_views, data
from bench.apps.db.models import Counter
from bench.apps.db.queries import counters, user_of
from quintette import API

api = API(title="Bench", version="1")


@api.get("/city/{key}")
async def one(key: int):
    return await queries.one(key)


@api.get("/cities")
async def full10(country: int):
    return await queries.full10(country)


@api.get("/city-names")
async def mini10(country: int):
    return await queries.mini10(country)


@api.get("/nested")
async def nested(country: int):
    return await queries.nested(country)


@api.get("/twenty")
async def twenty():
    return await queries.twenty()


@api.get("/twenty-in-turn")
async def twenty_in_turn():
    return await queries.twenty_in_turn()


@api.post("/update")
async def update10():
    async with transaction.atomic():
        rows = [row async for row in counters(data.block())]
        for row in rows:
            row.number += 1
        await Counter.objects.abulk_update(rows, ["number"])
    return {"updated": len(rows)}


@api.get("/typed-me")
async def typed_me(request: HttpRequest):
    return user_of(await request.auser())


urlpatterns = [
    path("", api.urls),
    path("fortunes", async_views.fortunes),
    path("me", async_views.me),
]
