"""What runs for a streamed response. Called from C; see stream.c, compress_guard.c."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from quintette._quintette import Encoder, Stream


class Closable(Protocol):
    def close(self) -> object: ...


async def pump(stream: Stream, chunks: AsyncIterable[bytes | str]) -> None:
    """Writes the chunks, waiting whenever the client falls behind. Ends with CancelledError when
    the client leaves; the iterator is closed in every case."""
    try:
        async for chunk in chunks:
            if not stream.write(chunk):
                await stream.drained()
    finally:
        aclose: Any = getattr(chunks, "aclose", None)
        if aclose is not None:
            await aclose()


# Of a long body: one piece takes a thread some milliseconds.
PIECE_BYTES = 262_144


def encoded(chunks: Iterable[bytes | str], encoder: Encoder) -> Iterator[bytes]:
    """Each chunk can be read by the client before the next one is there."""
    for chunk in chunks:
        if data := encoder.flush(chunk):
            yield data
    yield encoder.finish()


async def encoded_async(
    chunks: AsyncIterable[bytes | str], encoder: Encoder
) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            if data := encoder.flush(chunk):
                yield data
        yield encoder.finish()
    finally:
        aclose: Any = getattr(chunks, "aclose", None)
        if aclose is not None:
            await aclose()


async def encoded_in_pieces(body: bytes, encoder: Encoder) -> AsyncIterator[bytes]:
    """In other threads, so that the loop goes on with other requests."""
    view = memoryview(body)
    for start in range(0, len(view), PIECE_BYTES):
        if data := await asyncio.to_thread(encoder.feed, view[start : start + PIECE_BYTES]):
            yield data
    yield encoder.finish()


# The loop keeps weak references to tasks only.
_closing: set[asyncio.Task[object]] = set()


def close_on_loop(response: Closable) -> None:
    """Closes a response that was made on the loop as Django's ASGI handler does: in a thread, since
    receivers of request_finished may use the database. Whoever made it may know better."""
    own = getattr(response, "close_on_loop", None)
    if own is not None:
        own()
        return
    task = asyncio.get_running_loop().create_task(_close(response))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _close(response: Closable) -> object:
    return await sync_to_async(response.close, thread_sensitive=True)()
