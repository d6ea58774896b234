"""The routes on Starlette, which neither converts nor validates: for what needs no types."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bench.apps import payloads
from bench.apps.static import static_root


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"message": "Hello, world!"})


async def page_1k(request: Request) -> JSONResponse:
    return JSONResponse(payloads.PAGE_1K)


async def page_10k(request: Request) -> JSONResponse:
    return JSONResponse(payloads.PAGE_10K)


async def upload(request: Request) -> JSONResponse:
    async with request.form() as form:
        file = form["file"]
        return JSONResponse({"name": file.filename, "size": file.size})


app = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/page-1k", page_1k),
        Route("/page-10k", page_10k),
        Route("/upload", upload, methods=["POST"]),
        Mount("/static", StaticFiles(directory=static_root())),
    ]
)
