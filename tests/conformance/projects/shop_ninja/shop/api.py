import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import File, Form, Header, NinjaAPI, Path, Query, Status, UploadedFile
from ninja.errors import HttpError
from ninja.pagination import LimitOffsetPagination, paginate
from ninja.security import APIKeyHeader, HttpBasicAuth, HttpBearer

from shop.models import Product
from shop.schemas import Filters, Message, Order, ProductIn, ProductOut, Size

api = NinjaAPI(title="Shop", version="1.0")


class OutOfStockError(Exception):
    pass


@api.exception_handler(OutOfStockError)
def out_of_stock(request: HttpRequest, error: OutOfStockError) -> HttpResponse:
    return api.create_response(request, {"message": "sold out"}, status=409)


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> str | None:
        return token if token == "open sesame" else None


class AsyncBearer(HttpBearer):
    async def authenticate(self, request: HttpRequest, token: str) -> str | None:
        await asyncio.sleep(0)
        return token if token == "open sesame" else None


class Key(APIKeyHeader):
    param_name = "X-Key"

    def authenticate(self, request: HttpRequest, key: str | None) -> str | None:
        return key if key == "7" else None


class Basic(HttpBasicAuth):
    def authenticate(self, request: HttpRequest, username: str, password: str) -> str | None:
        return username if password == "open" else None


# --- products: the ORM, synchronous and not


@api.get("/products", response=list[ProductOut])
@paginate(LimitOffsetPagination)
def products(request: HttpRequest, filters: Query[Filters]) -> Any:
    return filters.filter(Product.objects.order_by("id"))


@api.get("/products/{int:product_id}", response=ProductOut)
def product(request: HttpRequest, product_id: int) -> Product:
    return get_object_or_404(Product, pk=product_id)


@api.get("/async/products/{int:product_id}", response={200: ProductOut, 404: Message})
async def async_product(request: HttpRequest, product_id: int) -> Any:
    found = await Product.objects.filter(pk=product_id).afirst()
    return found or Status(404, {"message": f"no product {product_id}"})


@api.post("/products", response={201: ProductOut})
def add(request: HttpRequest, body: ProductIn) -> Any:
    return Status(201, _new(body))


@api.post("/async/products", response={201: ProductOut})
async def async_add(request: HttpRequest, body: ProductIn) -> Any:
    product = _new(body)
    await product.asave()
    return Status(201, product)


@api.delete("/products/{int:product_id}", response={204: None})
def remove(request: HttpRequest, product_id: int) -> Any:
    get_object_or_404(Product, pk=product_id)
    return Status(204, None)


def _new(body: ProductIn) -> Product:
    # Not saved: the answer has no time of its own then.
    return Product(id=0, name=body.name, price=body.price, tags=body.tags, added=timezone.now())


# --- parameters of every kind


@api.get("/echo/{name}/{uuid:key}")
def echo(
    request: HttpRequest,
    name: str,
    key: UUID,
    n: int,
    at: date | None = None,
    ratio: float = 1.5,
    size: Size = Size.LARGE,
    tag: list[str] = Query(["none"]),  # noqa: B008 - as django-ninja has it
    flag: bool = False,
    agent: str = Header("nobody", alias="X-Agent"),
) -> Any:
    return locals() | {"request": request.get_full_path()}


@api.get("/async/echo/{path:rest}")
async def async_echo(request: HttpRequest, rest: Path[str], n: Decimal = Decimal(1)) -> Any:
    await asyncio.sleep(0)
    return {"rest": rest, "n": n, "cookies": request.COOKIES, "method": request.method}


@api.post("/orders")
def order(request: HttpRequest, body: Order, dry: bool = False) -> Any:
    return {"order": body.dict(), "dry": dry}


@api.put("/async/orders/{number}")
async def async_order(request: HttpRequest, number: int, body: Order) -> Any:
    return {"number": number, "order": body.dict()}


@api.post("/forms")
def form(request: HttpRequest, name: Form[str], count: Form[int], tag: Form[list[str]]) -> Any:
    return {"name": name, "count": count, "tag": tag}


@api.api_operation(["GET", "POST", "PATCH"], "/any")
def any_method(request: HttpRequest) -> Any:
    return {"method": request.method, "body": request.body.decode()}


# --- files


@api.post("/files")
def files(request: HttpRequest, title: Form[str], upload: File[list[UploadedFile]]) -> Any:
    return {"title": title, "files": [_about(file) for file in upload]}


@api.post("/async/files")
async def async_files(request: HttpRequest, upload: File[UploadedFile]) -> Any:
    await asyncio.sleep(0)
    return _about(upload)


def _about(file: UploadedFile) -> dict[str, Any]:
    digest = hashlib.sha256(file.read()).hexdigest()
    return {"name": file.name, "size": file.size, "type": file.content_type, "sha256": digest}


# --- who may


@api.get("/bearer", auth=Bearer())
def bearer(request: HttpRequest) -> Any:
    return {"auth": request.auth}


@api.get("/async/bearer", auth=AsyncBearer())
async def async_bearer(request: HttpRequest) -> Any:
    return {"auth": request.auth}


@api.get("/key-or-basic", auth=[Key(), Basic()])
def key_or_basic(request: HttpRequest) -> Any:
    return {"auth": request.auth}


# --- answers that are not plain


@api.get("/errors/{kind}")
def errors(request: HttpRequest, kind: str) -> Any:
    return _fail(kind)


@api.get("/async/errors/{kind}")
async def async_errors(request: HttpRequest, kind: str) -> Any:
    await asyncio.sleep(0)
    return _fail(kind)


def _fail(kind: str) -> Any:
    if kind == "http":
        raise HttpError(418, "a teapot")
    if kind == "own":
        raise OutOfStockError
    return {"of": 1 / 0}


@api.get("/stream")
def stream(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        for n in range(1000):
            yield f"{n}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


@api.get("/async/stream")
async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> AsyncIterator[str]:
        for n in range(1000):
            await asyncio.sleep(0)
            yield f"{n}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


@api.get("/headers")
def headers(request: HttpRequest, response: HttpResponse) -> Any:
    response["X-Shop"] = "open"
    response.set_cookie("basket", "1 2", max_age=60, httponly=True, samesite="Strict")
    response.set_cookie("seen", "yes")
    response.delete_cookie("old")
    return {"ok": True}
