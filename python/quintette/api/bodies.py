"""Request bodies that a handler takes while they come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, Generic, Protocol, TypeVar, get_args

import msgspec
from django.http import HttpRequest

from quintette import _quintette
from quintette.api import types
from quintette.api.errors import HTTPError
from quintette.api.streams import loop_runs

T = TypeVar("T")

CHUNK_SIZE: Final = 64 * 1024
LINE_MAX: Final = 1 << 20
_LINE_TYPES: Final = frozenset(
    {
        "application/jsonl",
        "application/jsonlines",
        "application/ndjson",
        "application/x-jsonlines",
        "application/x-ndjson",
    }
)


class Source(Protocol):
    """A ``_quintette.BodySource``, or a request of another server's."""

    def take(self, size: int, /) -> bytes | None: ...
    def set_wake(self, wake: Callable[[], object], /) -> bool: ...
    @property
    def fault(self) -> tuple[int, str] | None: ...
    @property
    def content_type(self) -> str: ...


class ClientLeftError(HTTPError):
    """The client has left before its body was complete: nobody will see an answer."""

    def __init__(self) -> None:
        super().__init__(400, "the client has left")


class BodyStream:
    """The parameter of a handler that begins before the body is there: ``async for chunk in body``
    or ``await body.read(n)``; in a ``def``, ``for chunk in body``. What the handler does not take
    is not read from the client. Raises ``HTTPError`` (400, 408, 413) where the body cannot be
    received, ``ClientLeftError`` where the client has gone."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer at the end; all that are left with -1."""
        pieces: list[bytes] = []
        left = size
        while left:
            piece = await self._next(left)
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece) if size > 0 else 0
        return b"".join(pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self._next(CHUNK_SIZE):
            yield chunk

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._next_here(CHUNK_SIZE):
            yield chunk

    async def _next(self, size: int) -> bytes:
        while (chunk := self._source.take(size)) is None:
            there = asyncio.Event()
            if self._source.set_wake(there.set):
                await there.wait()
        return chunk or self._end()

    def _next_here(self, size: int) -> bytes:
        if _quintette.can_wait():
            chunk: bytes = _quintette.wait_for(self._next(size))
            return chunk
        while (piece := self._source.take(size)) is None:
            if loop_runs():
                raise RuntimeError("a body cannot be waited for on the event loop: `async for` it")
            there = threading.Event()
            # Bounded by the connection's own deadlines for bodies, which wake us too.
            if self._source.set_wake(there.set):
                there.wait()
        return piece or self._end()

    def _end(self) -> bytes:
        fault = self._source.fault
        if fault is None:
            return b""
        status, why = fault
        raise HTTPError(status, why) if status else ClientLeftError


class Lines(Generic[T]):
    """The same of a body with a value of JSON per line (``application/jsonl``), each of the
    declared type: ``async for row in rows``, ``for row in rows``. A line that is none is answered
    with 422, one of more than 1 MiB with 413."""

    def __init__(self, source: Source, decode: Callable[[bytes], Any]) -> None:
        media = source.content_type.partition(";")[0].strip().lower()
        if media not in _LINE_TYPES:
            raise HTTPError(415, "expected application/jsonl")
        self._body = BodyStream(source)
        self._decode = decode
        self._number = 0
        self._rest = b""

    async def __aiter__(self) -> AsyncIterator[T]:
        async for chunk in self._body:
            for row in self._rows(chunk):
                yield row
        for row in self._last():
            yield row

    def __iter__(self) -> Iterator[T]:
        for chunk in self._body:
            yield from self._rows(chunk)
        yield from self._last()

    def _rows(self, chunk: bytes) -> Iterator[T]:
        first, *others = chunk.split(b"\n")
        if len(self._rest) + len(first) > LINE_MAX:
            raise HTTPError(413, f"line {self._number + 1} is longer than {LINE_MAX} bytes")
        self._rest += first
        for other in others:
            yield from self._last()
            self._rest = other

    def _last(self) -> Iterator[T]:
        line, self._rest = self._rest, b""
        self._number += 1
        if not line.strip():
            return
        try:
            yield self._decode(line)
        except (ValueError, msgspec.DecodeError) as error:
            raise HTTPError(422, f"line {self._number}: {error}") from error


class _OfRequest:
    """The body of a request that another server has received, or receives."""

    fault = None

    def __init__(self, request: HttpRequest, size_max: int) -> None:
        self._request = request
        self._left = size_max
        self.content_type: str = request.META.get("CONTENT_TYPE", "")

    def take(self, size: int) -> bytes:
        chunk = self._request.read(size if 0 <= size < CHUNK_SIZE else CHUNK_SIZE)
        self._left -= len(chunk)
        if self._left < 0:
            raise HTTPError(413, "request body too long")
        return chunk

    def set_wake(self, wake: Callable[[], object]) -> bool:
        return False


# --- declarations -----------------------------------------------------------------------


def is_body_stream(tp: Any) -> bool:
    return types.class_of(tp) in (BodyStream, Lines)


def json_decoder(tp: Any) -> Callable[[Any], Any]:
    """What decodes JSON of that type."""
    if types.is_pydantic(tp):
        validate: Callable[[Any], Any] = types.class_of(tp).model_validate_json
        return validate
    return msgspec.json.Decoder(tp).decode


def stream_maker(tp: Any, size_max: int) -> Callable[[Any], Any]:
    """What makes the parameter of a source, or of Django's request."""
    from quintette.conf import get_settings

    def source_of(given: Any) -> Source:
        if isinstance(given, HttpRequest):
            return _OfRequest(given, size_max or get_settings().body_max_bytes)
        source: Source = given
        return source

    if types.class_of(tp) is BodyStream:
        return lambda given: BodyStream(source_of(given))
    arguments = get_args(types.strip(tp))
    decode = json_decoder(arguments[0] if arguments else Any)
    return lambda given: Lines(source_of(given), decode)
