"""Plain Django views, asynchronous."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from bench.apps.db import async_queries as queries
from bench.apps.db.queries import user_of


async def one(request: HttpRequest, key: int) -> JsonResponse:
    return JsonResponse(await queries.one(key))


async def full10(request: HttpRequest) -> JsonResponse:
    return JsonResponse(await queries.full10(int(request.GET["country"])), safe=False)


async def mini10(request: HttpRequest) -> JsonResponse:
    return JsonResponse(await queries.mini10(int(request.GET["country"])), safe=False)


async def nested(request: HttpRequest) -> JsonResponse:
    return JsonResponse(await queries.nested(int(request.GET["country"])), safe=False)


async def twenty(request: HttpRequest) -> JsonResponse:
    return JsonResponse(await queries.twenty(), safe=False)


async def twenty_in_turn(request: HttpRequest) -> JsonResponse:
    return JsonResponse(await queries.twenty_in_turn(), safe=False)


async def fortunes(request: HttpRequest) -> HttpResponse:
    return render(request, "fortunes.html", {"fortunes": await queries.fortunes()})


@csrf_exempt
async def update10(request: HttpRequest) -> JsonResponse:
    return JsonResponse(await queries.update10())


async def me(request: Any) -> JsonResponse:
    return JsonResponse(user_of(await request.auser()))
