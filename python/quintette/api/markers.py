"""Where a parameter comes from, said in its annotation or as its default.

    limit: Annotated[int, Query(ge=1, le=100)] = 20
    limit: int = Query(20, ge=1, le=100)

The functions return ``Any`` so that the second form passes a type checker.
"""

# ruff: noqa: N802

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, Any, Final

import msgspec


class Missing:
    """The type of MISSING, which stands for: not given."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class Source(IntEnum):
    """Shared with binding/api/plan_data.h."""

    PATH = 0
    QUERY = 1
    HEADER = 2
    COOKIE = 3
    FORM = 4
    FILE = 5
    BODY = 6
    BODY_FIELD = 7
    REQUEST = 8
    AUTH = 9
    SOCKET = 10
    AFTER = 11


@dataclass(frozen=True)
class Marker:
    source: Source
    default: Any = MISSING
    alias: str | None = None
    description: str | None = None
    embed: bool = False
    constraints: dict[str, Any] = field(default_factory=dict)

    def meta(self) -> msgspec.Meta | None:
        return msgspec.Meta(**self.constraints) if self.constraints else None


@dataclass(frozen=True)
class Dependency:
    call: Callable[..., Any] | None
    use_cache: bool = True


def _marker(
    source: Source,
    default: Any,
    alias: str | None,
    description: str | None,
    embed: bool = False,
    **constraints: Any,
) -> Marker:
    given = {name: value for name, value in constraints.items() if value is not None}
    return Marker(source, default, alias, description, embed, given)


def Path(
    *,
    alias: str | None = None,
    description: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
) -> Any:
    """A piece of the path. One that the route's own pattern does not have comes from the pattern
    under which the API is mounted."""
    return _marker(
        Source.PATH,
        MISSING,
        alias,
        description,
        ge=ge,
        gt=gt,
        le=le,
        lt=lt,
        min_length=min_length,
        max_length=max_length,
        pattern=pattern,
    )


def Query(
    default: Any = MISSING,
    *,
    alias: str | None = None,
    description: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
) -> Any:
    """A parameter of the query string; a list takes repeated ones, a struct several names."""
    return _marker(
        Source.QUERY,
        default,
        alias,
        description,
        ge=ge,
        gt=gt,
        le=le,
        lt=lt,
        min_length=min_length,
        max_length=max_length,
        pattern=pattern,
    )


def Header(
    default: Any = MISSING,
    *,
    alias: str | None = None,
    description: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
) -> Any:
    """A header field: ``user_agent`` is ``User-Agent`` unless an alias says otherwise."""
    return _marker(
        Source.HEADER,
        default,
        alias,
        description,
        ge=ge,
        gt=gt,
        le=le,
        lt=lt,
        min_length=min_length,
        max_length=max_length,
        pattern=pattern,
    )


def Cookie(
    default: Any = MISSING,
    *,
    alias: str | None = None,
    description: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
) -> Any:
    """A cookie."""
    return _marker(
        Source.COOKIE,
        default,
        alias,
        description,
        ge=ge,
        gt=gt,
        le=le,
        lt=lt,
        min_length=min_length,
        max_length=max_length,
        pattern=pattern,
    )


def Form(
    default: Any = MISSING,
    *,
    alias: str | None = None,
    description: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
) -> Any:
    """A field of a form, urlencoded or multipart. An empty one that is no ``str`` is not sent."""
    return _marker(
        Source.FORM,
        default,
        alias,
        description,
        ge=ge,
        gt=gt,
        le=le,
        lt=lt,
        min_length=min_length,
        max_length=max_length,
        pattern=pattern,
    )


def File(
    default: Any = MISSING, *, alias: str | None = None, description: str | None = None
) -> Any:
    """A file of a multipart form, as Django's ``UploadedFile``; ``bytes`` for its content."""
    return _marker(Source.FILE, default, alias, description)


def Body(
    default: Any = MISSING,
    *,
    alias: str | None = None,
    description: str | None = None,
    embed: bool = False,
) -> Any:
    """The JSON body. With ``embed``, or where there are several, a member of it. ``bytes`` and
    ``str`` are the body as it was sent, whatever its type."""
    return _marker(Source.BODY, default, alias, description, embed)


def Depends(call: Callable[..., Any] | None = None, *, use_cache: bool = True) -> Any:
    """What another function returns or yields, whose parameters come from the request too."""
    return Dependency(call, use_cache)


MARKER_FUNCTIONS: Final[dict[Any, Callable[[], Any]]] = {
    function: function for function in (Path, Query, Header, Cookie, Form, File, Body, Depends)
}

BIG_INT = "quintette.big_int"
# An integer of any size in a JSON body; a plain int has 64 bits.
BigInt = Annotated[int, msgspec.Meta(extra={BIG_INT: True})]
