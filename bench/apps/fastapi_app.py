"""The typed routes on FastAPI."""

from __future__ import annotations

from fastapi import FastAPI, UploadFile
from fastapi.staticfiles import StaticFiles

from bench.apps.pydantic_types import PAGE_1K, PAGE_10K, Order, Page
from bench.apps.static import static_root

app = FastAPI(openapi_url=None)


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "Hello, world!"}


@app.get("/items/{id}")
async def item(id: int, q: str, limit: int = 20, active: bool = False) -> dict[str, object]:
    return {"id": id, "q": q, "limit": limit, "active": active}


@app.post("/orders")
async def order(body: Order) -> Order:
    return body


@app.get("/page-1k")
async def page_1k() -> Page:
    return PAGE_1K


@app.get("/page-10k")
async def page_10k() -> Page:
    return PAGE_10K


@app.post("/upload")
async def upload(file: UploadFile) -> dict[str, object]:
    return {"name": file.filename, "size": file.size}


app.mount("/static", StaticFiles(directory=static_root()))
