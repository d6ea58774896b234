"""The database cases on django-ninja: plain functions, for a server with threads."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from ninja import NinjaAPI

from bench.apps.db import queries
from bench.apps.db.pydantic_types import CityFull, CityMini, CityNested, Me, Updated

api = NinjaAPI(title="Bench", openapi_url=None)


@api.get("/city/{int:key}", response=CityFull)
def one(request: HttpRequest, key: int):
    return queries.one(key)


@api.get("/cities", response=list[CityFull])
def full10(request: HttpRequest, country: int):
    return queries.full10(country)


@api.get("/city-names", response=list[CityMini])
def mini10(request: HttpRequest, country: int):
    return queries.mini10(country)


@api.get("/nested", response=list[CityNested])
def nested(request: HttpRequest, country: int):
    return queries.nested(country)


@api.get("/twenty", response=list[CityMini])
def twenty(request: HttpRequest):
    return queries.twenty()


@api.get("/fortunes")
def fortunes(request: HttpRequest) -> HttpResponse:
    return render(request, "fortunes.html", {"fortunes": queries.fortunes()})


@api.post("/update", response=Updated)
def update10(request: HttpRequest):
    return queries.update10()


@api.get("/me", response=Me)
def me(request: HttpRequest):
    return request.user


urlpatterns = [path("", api.urls)]
