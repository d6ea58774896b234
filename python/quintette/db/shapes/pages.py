"""Pages: by number, and by a cursor."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T]):
    """A page by its number."""

    items: list[T]
    page: int
    """From 1."""
    size: int
    """At most so many items; the last page may have fewer."""
    total: int | None
    """Of all pages; None where it was not asked for."""
    has_next: bool


class OffsetPage(msgspec.Struct, Generic[T]):
    """What stands behind the first rows."""

    items: list[T]
    offset: int
    limit: int
    total: int | None
    has_next: bool


class CursorPage(msgspec.Struct, Generic[T]):
    """A page that begins behind a row, wherever that is by now."""

    items: list[T]
    next: str | None
    """The cursor of the next page; None at the end."""
    total: int | None = None
