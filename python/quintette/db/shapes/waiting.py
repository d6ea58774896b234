"""Where an asynchronous method runs the synchronous one beneath it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

from quintette.concurrency import engines, patches, run

T = TypeVar("T")

_END: Any = object()


async def on(using: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """On the loop's own thread where the database's engine can be waited for there, else in the
    thread of Django's own asynchronous methods. Either way it sees the caller's transaction."""
    if engines.waits(using) and not patches.is_called_from_sync():
        return await run(function, *args, **kwargs)
    return await sync_to_async(function)(*args, **kwargs)


async def iterated(using: str, iterator: Iterator[T]) -> AsyncIterator[T]:
    """Step by step. The iterator is closed where it ran."""
    try:
        while (item := await on(using, next, iterator, _END)) is not _END:
            yield item
    finally:
        close: Any = getattr(iterator, "close", None)
        if close is not None:
            await on(using, close)
