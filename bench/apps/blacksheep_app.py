"""The typed routes on BlackSheep."""

from __future__ import annotations

import msgspec
from blacksheep import Application, FromFiles, FromJSON, Response, get, post
from blacksheep.contents import Content
from blacksheep.settings.json import json_settings

from bench.apps.msgspec_types import PAGE_1K, PAGE_10K, Order
from bench.apps.static import static_root

# Its own hook for another JSON library.
json_settings.use(
    loads=msgspec.json.decode,
    dumps=lambda value: msgspec.json.encode(value).decode(),
)

app = Application()
app.serve_files(static_root(), root_path="static")
_JSON = b"application/json"


def _answer(value: object) -> Response:
    return Response(200, content=Content(_JSON, msgspec.json.encode(value)))


@get("/hello")
async def hello() -> Response:
    return _answer({"message": "Hello, world!"})


@get("/items/{id}")
async def item(id: int, q: str, limit: int = 20, active: bool = False) -> Response:
    return _answer({"id": id, "q": q, "limit": limit, "active": active})


@post("/orders")
async def order(data: FromJSON[dict]) -> Response:
    return _answer(msgspec.convert(data.value, Order))


@get("/page-1k")
async def page_1k() -> Response:
    return _answer(PAGE_1K)


@get("/page-10k")
async def page_10k() -> Response:
    return _answer(PAGE_10K)


@post("/upload")
async def upload(files: FromFiles) -> Response:
    file = files.value[0]
    return _answer({"name": file.file_name.decode(), "size": len(file.data)})
