from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from ninja import Field, FilterSchema, ModelSchema, Schema
from pydantic import field_validator

from shop.models import Product


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


class ProductOut(ModelSchema):
    class Meta:
        model = Product
        fields = ["id", "name", "price", "tags", "added"]


class ProductIn(Schema):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    price: Annotated[Decimal, Field(gt=0, decimal_places=2)]
    tags: list[str] = []
    size: Size = Size.SMALL

    @field_validator("name")
    @classmethod
    def not_a_number(cls, name: str) -> str:
        if name.isdecimal():
            raise ValueError("a name is more than a number")
        return name


class Filters(FilterSchema):
    name: Annotated[str | None, Field(q="name__icontains")] = None
    price: Annotated[Decimal | None, Field(q="price__lte")] = None


class Address(Schema):
    street: str
    country: Literal["AT", "DE", "CH"] = "AT"


class Order(Schema):
    day: date
    at: datetime | None = None
    address: Address
    lines: dict[str, int]


class Message(Schema):
    message: str
