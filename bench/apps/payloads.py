"""What every application under test answers, as plain values; the cases check against the same."""

from __future__ import annotations

from typing import Any

HELLO: dict[str, str] = {"message": "Hello, world!"}
PLAIN = b"Hello, world!"
MESSAGE = "0123456789abcdef" * 4


def product(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"Product number {number}",
        "price": number * 1.25,
        "in_stock": number % 3 != 0,
        "tags": ["guitar", "violin"],
    }


def page(count: int) -> dict[str, Any]:
    """About 100 bytes of JSON per product."""
    return {"total": count, "items": [product(number) for number in range(1, count + 1)]}


PAGE_1K = page(10)
PAGE_10K = page(98)

ORDER: dict[str, Any] = {
    "id": 1934,
    "customer": {"name": "Stéphane Grappelli", "email": "stephane@example.org"},
    "lines": [
        {"sku": "string-set-11", "quantity": 3, "price": 12.5},
        {"sku": "rosin-dark", "quantity": 1, "price": 7.25},
        {"sku": "bridge-34", "quantity": 2, "price": 18.0},
    ],
    "note": None,
}
