"""Coroutines that the server runs for a streamed response. Called from C; see binding/stream.c."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Protocol

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from quintette._quintette import Stream


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
