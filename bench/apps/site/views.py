"""Plain Django views: what a project has before it knows of any other framework."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from bench.apps import payloads


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse(payloads.PLAIN, content_type="text/plain")


def hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"message": "Hello, world!"})


def page_1k(request: HttpRequest) -> JsonResponse:
    return JsonResponse(payloads.PAGE_1K)


def page_10k(request: HttpRequest) -> JsonResponse:
    return JsonResponse(payloads.PAGE_10K)


@csrf_exempt
def upload(request: HttpRequest) -> JsonResponse:
    file = request.FILES["file"]
    return JsonResponse({"name": file.name, "size": file.size})
