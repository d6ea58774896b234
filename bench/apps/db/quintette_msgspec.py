"""Django's ORM and msgspec in Quintette's server, nothing else of ours: what the compiled queries
are measured against."""

from __future__ import annotations

from django.urls import path

from bench.apps.db import queries
from quintette import API

api = API(title="Bench", version="1")


@api.get("/city/{key}")
def one(key: int):
    return queries.one(key)


@api.get("/cities")
def full10(country: int):
    return queries.full10(country)


@api.get("/city-names")
def mini10(country: int):
    return queries.mini10(country)


@api.get("/nested")
def nested(country: int):
    return queries.nested(country)


@api.get("/twenty")
def twenty():
    return queries.twenty()


@api.post("/update")
def update10():
    return queries.update10()


urlpatterns = [path("", api.urls)]
