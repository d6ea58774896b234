"""The typed routes on django-ninja: plain functions, which it runs without a thread under WSGI."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import path
from ninja import File, NinjaAPI
from ninja.files import UploadedFile

from bench.apps.pydantic_types import PAGE_1K, PAGE_10K, Order, Page

api = NinjaAPI(title="Bench", openapi_url=None)


@api.get("/hello")
def hello(request: HttpRequest) -> dict[str, str]:
    return {"message": "Hello, world!"}


@api.get("/items/{int:id}")
def item(
    request: HttpRequest, id: int, q: str, limit: int = 20, active: bool = False
) -> dict[str, object]:
    return {"id": id, "q": q, "limit": limit, "active": active}


@api.post("/orders", response=Order)
def order(request: HttpRequest, body: Order) -> Order:
    return body


@api.get("/page-1k", response=Page)
def page_1k(request: HttpRequest) -> Page:
    return PAGE_1K


@api.get("/page-10k", response=Page)
def page_10k(request: HttpRequest) -> Page:
    return PAGE_10K


@api.post("/upload")
def upload(request: HttpRequest, file: File[UploadedFile]) -> dict[str, object]:
    return {"name": file.name, "size": file.size}


urlpatterns = [path("", api.urls)]
