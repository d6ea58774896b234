"""The typed routes on django-bolt, and Django itself mounted for the plain views.

Access log and OpenAPI off, compression where no client asks for it; no return annotations where a
dict is returned, as in the project's own benchmarks: an annotation would have the result validated.
"""

from __future__ import annotations

import os
from typing import Annotated

from django_bolt import BoltAPI, UploadFile
from django_bolt.auth import IsAuthenticated, JWTAuthentication
from django_bolt.middleware import CompressionConfig, cors, rate_limit
from django_bolt.openapi import OpenAPIConfig
from django_bolt.param_functions import File

from bench.apps import payloads
from bench.apps.msgspec_types import PAGE_1K, PAGE_10K, Order
from bench.apps.tokens import KEY

COMPRESSED = os.environ.get("BENCH_BOLT_COMPRESSION") == "on"
ENDLESS = 1_000_000_000
"""A limit that no load reaches."""

api = BoltAPI(
    enable_logging=False,
    compression=CompressionConfig(backend="gzip") if COMPRESSED else False,
    validate_response=False,
    openapi_config=OpenAPIConfig(title="Bench", version="1", enabled=False),
    django_middleware=os.environ.get("BENCH_BOLT_MIDDLEWARE") == "on",
)


@api.get("/hello")
async def hello():
    return {"message": "Hello, world!"}


@api.get("/items/{id}")
async def item(id: int, q: str, limit: int = 20, active: bool = False):
    return {"id": id, "q": q, "limit": limit, "active": active}


@api.post("/orders")
async def order(body: Order):
    return body


@api.get("/page-1k")
async def page_1k():
    return PAGE_1K


@api.get("/page-10k")
async def page_10k():
    return PAGE_10K


@api.get("/protected", auth=[JWTAuthentication(secret=KEY)], guards=[IsAuthenticated()])
async def protected():
    return {"message": "Hello, world!"}


@api.get("/guarded-10k")
@cors(origins=["https://shop.example.org"])
@rate_limit(rps=ENDLESS, burst=ENDLESS)
async def guarded_10k():
    return PAGE_10K


@api.post("/upload")
async def upload(file: Annotated[UploadFile, File()]):
    return {"name": file.filename, "size": file.size}


if os.environ.get("BENCH_BOLT_MIDDLEWARE") == "on":

    @api.get("/plain")
    async def plain():
        return payloads.PLAIN.decode()

else:
    api.mount_django("/django")
