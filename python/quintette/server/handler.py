"""The project's middleware and views, called once per request that no typed route takes.

The server calls ``SyncHandler`` in a thread of its pool, ``AsyncHandler`` on the event loop.
Both give back the ``HttpResponse``; the server writes it and then calls its ``close()``, which
sends ``request_finished``.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.core import signals
from django.core.handlers.base import BaseHandler
from django.db import close_old_connections, reset_queries
from django.http import FileResponse
from django.http.response import HttpResponseBase

from quintette import _quintette
from quintette.http.files import sendable
from quintette.http.request import Request
from quintette.server import middleware, parts
from quintette.server.parts import FILE_BLOCK_SIZE
from quintette.server.threads import RequestThread, RequestThreads

# Idle threads kept for asynchronous views that call synchronous code.
IDLE_THREADS_MAX = 32

parts.hand_over()


class NativeMiddleware(BaseHandler):
    """A handler in which Django's own middleware runs in C."""

    def load_middleware(self, is_async: bool = False) -> None:
        if middleware.is_replaced():
            super().load_middleware(is_async)
        else:
            middleware.load(self, is_async)


class SyncHandler(_quintette.DjangoHandler, NativeMiddleware):
    """Its ``__call__`` and what it calls are in C, by Django's names: see django.h."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()


class AsyncHandler(_quintette.DjangoHandler, NativeMiddleware):
    """What Django's ASGIHandler does between receiving and sending.

    Synchronous code of one request (middleware, signal receivers, ``sync_to_async``) runs in one
    thread, up to and with ``response.close()``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=True)
        self._threads = RequestThreads(IDLE_THREADS_MAX, _first_in_thread)
        self._closing: set[asyncio.Task[None]] = set()

    async def __call__(  # type: ignore[override]
        self, request: Request
    ) -> HttpResponseBase:
        thread = self._threads.enter()
        sender = type(self)
        try:
            _quintette.set_script_prefix()
            if _quintette.has_other_receivers(signals.request_started):
                await signals.request_started.asend(sender=sender, scope=_scope(request))
            response: Any = await self.get_response_async(request)
        except BaseException:
            # Above all CancelledError: the client has left.
            self._close(thread, partial(_close_unanswered, request, sender))
            raise
        _prepare(response, sender)
        if response.streaming and not response.is_async and not _has_file(response):
            response.streaming_content = _pulled_in(thread, response.streaming_content)
        # The server calls this instead of close() for responses that were made on the loop.
        close = partial(_quintette.close_response, response)
        response.close_on_loop = partial(self._close, thread, close)
        return cast("HttpResponseBase", response)

    async def aclose(self) -> None:
        """Waits for the responses that are being closed; then gives the threads back."""
        await asyncio.gather(*self._closing, return_exceptions=True)
        self._threads.close()

    def _close(self, thread: RequestThread, close: Callable[[], None]) -> None:
        if not thread.used and not _quintette.has_other_receivers(signals.request_finished):
            close()
            thread.release()
            return
        # In the request's thread. Whoever calls does not wait for it.
        task = asyncio.get_running_loop().create_task(
            _close_in_thread(thread, close), context=thread.context
        )
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _scope(request: Request) -> dict[str, Any]:
    """As much of an ASGI scope as receivers of request_started are known to look at."""
    return {
        "type": "http",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": request.raw_path,
        "query_string": request.query_string,
        "headers": [(name.lower(), value) for name, value in request.fields],
        "client": request.client,
        "server": request.server,
    }


def _first_in_thread() -> None:
    reset_queries()
    close_old_connections()


def _prepare(response: Any, sender: type[BaseHandler]) -> None:
    response._handler_class = sender
    if isinstance(response, FileResponse) and response.block_size == FileResponse.block_size:
        response.block_size = FILE_BLOCK_SIZE


def _has_file(response: Any) -> bool:
    return getattr(response, "file_to_stream", None) is not None and sendable(response) is not None


def _close_unanswered(request: Request, sender: type[BaseHandler]) -> None:
    request.close()
    signals.request_finished.send(sender=sender)


async def _close_in_thread(thread: RequestThread, close: Callable[[], None]) -> None:
    try:
        await sync_to_async(close)()
    finally:
        thread.release()


async def _pulled_in(thread: RequestThread, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """A synchronous stream of an asynchronous view, iterated in the request's thread."""
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    take = partial(context.run, next, chunks, None)
    while (chunk := await loop.run_in_executor(thread, take)) is not None:
        yield chunk
