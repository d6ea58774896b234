"""Our keys in a database's OPTIONS."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")


def parse(alias: str, key: str, value: object, kind: type[T]) -> T:
    """`OPTIONS[key]` of that database as a Struct. ImproperlyConfigured names what is wrong."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        name = f"DATABASES[{alias!r}]['OPTIONS'][{key!r}]"
        raise ImproperlyConfigured(f"{name}: {error}.") from None
