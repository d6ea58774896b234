"""The answers' types as pydantic models: FastAPI, django-ninja."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from bench.apps import payloads


class Product(BaseModel):
    id: int
    name: str
    price: float
    in_stock: bool
    tags: list[str]


class Page(BaseModel):
    total: int
    items: list[Product]


class Customer(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    email: Annotated[str, Field(max_length=254)]


class Line(BaseModel):
    sku: Annotated[str, Field(min_length=1, max_length=40)]
    quantity: Annotated[int, Field(ge=1)]
    price: Annotated[float, Field(ge=0)]


class Order(BaseModel):
    id: int
    customer: Customer
    lines: list[Line]
    note: str | None = None


PAGE_1K = Page.model_validate(payloads.PAGE_1K)
PAGE_10K = Page.model_validate(payloads.PAGE_10K)
