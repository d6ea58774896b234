"""What a request is answered with, as encode.c reads it: tuples that begin with a kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from quintette._quintette import trace_var

BODY: Final = 0  # status, fields, body
STREAM: Final = 1  # status, fields, iterator, is_async, closer or None
# status, fields, file object, offset, length, closer or None; where preconditions and ranges are to
# be looked at also the entity tag (bytes) and the modification time
FILE: Final = 2
DJANGO: Final = 3  # HttpResponse
AWAIT: Final = 4  # awaitable, whose result is encoded in its turn
VALUE: Final = 5  # value for the plan's encoder

Answer = tuple[Any, ...]
Fields = list[tuple[str, str]]

_encode = msgspec.json.Encoder(enc_hook=str).encode


def checked_fields(headers: Mapping[str, str] | Iterable[tuple[str, str]] | None) -> Fields:
    """Header fields without anything that could end them early."""
    if headers is None:
        return []
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    fields = []
    for name, value in pairs:
        text = str(value)
        if not name or not name.isascii() or any(c <= " " or c in ':"(),/' for c in name):
            raise ValueError(f"invalid header name {name!r}")
        if any((c < " " and c != "\t") or c == "\x7f" or c > "\xff" for c in text):
            raise ValueError(f"invalid value of header {name}")
        fields.append((name, text))
    return fields


def lines_of(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")


def title_of(status: int) -> str:
    if status == 422:  # RFC 9110's name; Python 3.12's enum still has WebDAV's
        return "Unprocessable Content"
    if status == 413:
        return "Content Too Large"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def problem(
    status: int,
    detail: str | None = None,
    *,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    type_: str = "about:blank",
    title: str | None = None,
    errors: list[dict[str, Any]] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Answer:
    """RFC 9457."""
    document: dict[str, Any] = {
        "type": type_,
        "title": title or title_of(status),
        "status": status,
    }
    if detail:
        document["detail"] = detail
    if errors is not None:
        document["errors"] = errors
    if extra:
        document.update(extra)
    if status >= 500 and (trace := trace_var.get(None)) is not None:
        # What went wrong is in the log, under this id.
        document.setdefault("request_id", trace.request_id)
    fields = [("Content-Type", "application/problem+json"), *checked_fields(headers)]
    return BODY, status, fields, _encode(document)
