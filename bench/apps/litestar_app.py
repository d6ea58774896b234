"""The typed routes on Litestar."""

from __future__ import annotations

from typing import Annotated

from litestar import Litestar, get, post
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.static_files import create_static_files_router

from bench.apps.msgspec_types import PAGE_1K, PAGE_10K, Order, Page
from bench.apps.static import static_root


@get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "Hello, world!"}


@get("/items/{id:int}")
async def item(id: int, q: str, limit: int = 20, active: bool = False) -> dict[str, object]:
    return {"id": id, "q": q, "limit": limit, "active": active}


@post("/orders", status_code=200)
async def order(data: Order) -> Order:
    return data


@get("/page-1k")
async def page_1k() -> Page:
    return PAGE_1K


@get("/page-10k")
async def page_10k() -> Page:
    return PAGE_10K


@post("/upload", status_code=200)
async def upload(
    data: Annotated[dict[str, UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)],
) -> dict[str, object]:
    file = data["file"]
    return {"name": file.filename, "size": len(await file.read())}


app = Litestar(
    [
        hello,
        item,
        order,
        page_1k,
        page_10k,
        upload,
        create_static_files_router("/static", directories=[static_root()]),
    ],
    openapi_config=None,
    logging_config=None,
)
