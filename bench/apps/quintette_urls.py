"""Typed routes of Quintette's, and the plain views."""

from __future__ import annotations

from django.core.files.uploadedfile import UploadedFile
from django.urls import include, path

from bench.apps.msgspec_types import PAGE_1K, PAGE_10K, Order, Page
from quintette import API

api = API(title="Bench", version="1")


@api.get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "Hello, world!"}


@api.get("/items/{id}")
async def item(id: int, q: str, limit: int = 20, active: bool = False) -> dict[str, object]:
    return {"id": id, "q": q, "limit": limit, "active": active}


@api.post("/orders")
async def order(body: Order) -> Order:
    return body


@api.get("/page-1k")
async def page_1k() -> Page:
    return PAGE_1K


@api.get("/page-10k")
async def page_10k() -> Page:
    return PAGE_10K


@api.post("/upload")
async def upload(file: UploadedFile) -> dict[str, object]:
    return {"name": file.name, "size": file.size}


urlpatterns = [path("", api.urls), path("", include("bench.apps.site.urls"))]
