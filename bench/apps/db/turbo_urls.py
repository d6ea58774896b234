"""The database cases that django-turbo-orm can run: it reads, and has no transactions."""

from __future__ import annotations

import asyncio

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from turbo_orm.queryset import AsyncQuerySet

from bench.apps.db import data, queries
from bench.apps.db.models import City, Fortune


def ten(request: HttpRequest) -> AsyncQuerySet[City]:
    return AsyncQuerySet(City).filter(country_id=int(request.GET["country"])).order_by("id")


async def one(request: HttpRequest, key: int) -> JsonResponse:
    return JsonResponse(queries.city_of(await AsyncQuerySet(City).aget(pk=key)))


async def full10(request: HttpRequest) -> JsonResponse:
    rows = await ten(request)[: data.LIMIT].alist()
    return JsonResponse([queries.city_of(row) for row in rows], safe=False)


async def mini10(request: HttpRequest) -> JsonResponse:
    rows = await ten(request).only(*data.MINI)[: data.LIMIT].alist()
    return JsonResponse([queries.mini_of(row) for row in rows], safe=False)


async def nested(request: HttpRequest) -> JsonResponse:
    related = ten(request).select_related("country").prefetch_related("airports")
    rows = await related[: data.LIMIT].alist()
    return JsonResponse([queries.nested_of(row) for row in rows], safe=False)


async def twenty(request: HttpRequest) -> JsonResponse:
    rows = await asyncio.gather(*(AsyncQuerySet(City).aget(pk=key) for key in data.TWENTY))
    return JsonResponse([queries.mini_of(row) for row in rows], safe=False)


async def fortunes(request: HttpRequest) -> HttpResponse:
    found = queries.with_added(await AsyncQuerySet(Fortune).alist())
    return render(request, "fortunes.html", {"fortunes": found})


urlpatterns = [
    path("city/<int:key>", one),
    path("cities", full10),
    path("city-names", mini10),
    path("nested", nested),
    path("twenty", twenty),
    path("fortunes", fortunes),
]
