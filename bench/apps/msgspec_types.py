"""The answers' types as msgspec structs: Quintette, django-bolt, Litestar, BlackSheep."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bench.apps import payloads


class Product(Struct):
    id: int
    name: str
    price: float
    in_stock: bool
    tags: list[str]


class Page(Struct):
    total: int
    items: list[Product]


class Customer(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    email: Annotated[str, Meta(max_length=254)]


class Line(Struct):
    sku: Annotated[str, Meta(min_length=1, max_length=40)]
    quantity: Annotated[int, Meta(ge=1)]
    price: Annotated[float, Meta(ge=0)]


class Order(Struct):
    id: int
    customer: Customer
    lines: list[Line]
    note: str | None = None


PAGE_1K = msgspec.convert(payloads.PAGE_1K, Page)
PAGE_10K = msgspec.convert(payloads.PAGE_10K, Page)
