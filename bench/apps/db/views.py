"""Plain Django views, synchronous."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from bench.apps.db import queries


def one(request: HttpRequest, key: int) -> JsonResponse:
    return JsonResponse(queries.one(key))


def full10(request: HttpRequest) -> JsonResponse:
    return JsonResponse(queries.full10(int(request.GET["country"])), safe=False)


def mini10(request: HttpRequest) -> JsonResponse:
    return JsonResponse(queries.mini10(int(request.GET["country"])), safe=False)


def nested(request: HttpRequest) -> JsonResponse:
    return JsonResponse(queries.nested(int(request.GET["country"])), safe=False)


def twenty(request: HttpRequest) -> JsonResponse:
    return JsonResponse(queries.twenty(), safe=False)


def four(request: HttpRequest) -> JsonResponse:
    return JsonResponse(queries.four(), safe=False)


def fortunes(request: HttpRequest) -> HttpResponse:
    return render(request, "fortunes.html", {"fortunes": queries.fortunes()})


@csrf_exempt
def update10(request: HttpRequest) -> JsonResponse:
    return JsonResponse(queries.update10())


def me(request: HttpRequest) -> JsonResponse:
    return JsonResponse(queries.user_of(request.user))
