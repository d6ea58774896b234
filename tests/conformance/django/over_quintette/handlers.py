"""Django's test clients' handlers, with our server between them and the project.

Both take what Django's take (an environ, a scope) and give back what Django's give back (the
view's response, with the request attached), but status line, header, cookies and body of that
response are read from the bytes that the server sent, and the request is the one it made of the
bytes it got. Everything runs in the thread of the test, so that the view sees the test's database
connections and transactions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Any

from django.core.handlers.base import BaseHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase, ResponseHeaders

from over_quintette.middleware import djangos_own
from over_quintette.request import TestedRequest
from over_quintette.wire import (
    RefusedError,
    WireRequest,
    WireResponse,
    from_environ,
    from_scope,
    parse_response,
)
from quintette import _quintette
from quintette.conf import parse
from quintette.server.handler import AsyncHandler, SyncHandler

# Fields that the server adds or owns (RFC 9110, 6.6.1 and 7.6.1). Not shown to a test whose view
# has not set them.
_SERVERS_OWN = {"date", "content-length", "connection", "transfer-encoding"}
# Django's tests upload more than the 10 MiB that a body may have by default.
LIMITS = parse({"BODY_MAX_BYTES": 32 * 2**20}).limits()


class Exchange:
    """One request on its way through the server."""

    def __init__(self, wire: WireRequest) -> None:
        self.wire = wire
        self.request: HttpRequest | None = None
        self.response: HttpResponseBase | None = None
        self.own_fields: set[str] = set()
        self.errors: list[BaseException] = []
        self.received = bytearray()

    def answered(self, request: Any, response: Any) -> None:
        """What the project made, before it is sent."""
        self.request, self.response = request, response
        self.own_fields = {name.lower() for name in response.headers}

    def result(self) -> Any:
        """The project's response, as it looks to the client. Raises what nobody answered."""
        response: Any = self.response
        if response is None:
            if self.errors:
                raise self.errors[0]
            raise RefusedError(f"the server answered {bytes(self.received)!r}")
        if self.errors and not response.streaming:
            raise self.errors[0]
        if not self.received:
            raise RefusedError("the connection was cut without an answer")
        wire = parse_response(self.wire.method, bytes(self.received))
        self._check_framing(wire)
        self._rewrite(response, wire)
        return response

    def _check_framing(self, wire: WireResponse) -> None:
        if wire.is_cut and not self.errors:
            raise RefusedError(f"the response was cut off: {wire}")
        names = [name.lower() for name, _value in wire.fields]
        assert names.count("date") == 1, wire.fields

    def _rewrite(self, response: Any, wire: WireResponse) -> None:
        response.status_code = wire.status
        response.reason_phrase = wire.reason
        cookies: SimpleCookie = SimpleCookie()
        headers = ResponseHeaders({})
        for name, value in wire.fields:
            if name.lower() == "set-cookie":
                cookies.load(value)
            elif name.lower() not in _SERVERS_OWN or name.lower() in self.own_fields:
                headers[name] = value
        response.headers = headers
        _restore_types(cookies, response.cookies)
        response.cookies = cookies
        if response.streaming:
            chunks = _stream(wire.body, self.errors)
            response.streaming_content = _asynchronous(chunks) if response.is_async else chunks
        else:
            response.content = wire.body


def _restore_types(cookies: SimpleCookie, originals: SimpleCookie) -> None:
    """A cookie on the wire is all text; tests compare numbers."""
    for name, morsel in cookies.items():
        original = originals.get(name)
        for key, value in original.items() if original is not None else ():
            if str(value) == morsel[key]:
                morsel[key] = value


def _stream(body: bytes, errors: list[BaseException]) -> Iterator[bytes]:
    if body:
        yield body
    if errors:
        raise errors[0]


async def _asynchronous(chunks: Iterator[bytes]) -> Any:
    for chunk in chunks:
        yield chunk


@contextmanager
def connections_kept() -> Iterator[None]:
    """As Django's test clients have it: the signals around a request close no connection."""
    stopped = [
        s for s in (request_started, request_finished) if s.disconnect(close_old_connections)
    ]
    try:
        yield
    finally:
        for signal in stopped:
            signal.connect(close_old_connections)


# --- without an event loop --------------------------------------------------------------


class _InlineLoop:
    """What a connection in memory needs of an event loop, where none runs: callbacks from a worker
    thread. The worker thread is this thread, so they are run at once."""

    def __init__(self) -> None:
        self.on_output: Callable[[], None] = lambda: None

    def call_soon_threadsafe(self, callback: Callable[[], None], *args: Any) -> None:
        callback(*args)
        self.on_output()


class SyncServer:
    """Sends requests through the server and runs their views in the calling thread."""

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call = call
        self._jobs: list[Any] = []
        self._exchange: Exchange
        self._server = _quintette.Server(
            django_sync=self._django,
            executor=self._jobs.append,
            on_error=self._on_error,
            limits=LIMITS,
        )

    def send(self, wire: WireRequest) -> Exchange:
        exchange = self._exchange = Exchange(wire)
        loop = _InlineLoop()
        connection = self._connect(loop)

        def take() -> None:
            exchange.received += connection.take()

        loop.on_output = take
        connection.feed(wire.encoded())
        while self._jobs:
            job = self._jobs.pop()
            job.run()
            if getattr(exchange.response, "is_async", False):
                asyncio.run(self._pump(job, connection, take))
            else:
                job.finish()
        take()
        if not exchange.received:
            connection.eof()
            take()
        return exchange

    async def _pump(self, job: Any, connection: Any, take: Callable[[], None]) -> None:
        """A synchronous handler's asynchronous stream: the server's loop iterates it."""
        output = asyncio.Event()
        connection.set_wake(output.set)
        job.finish()
        while self._server.stats()["in_flight"]:
            take()
            await output.wait()
            output.clear()

    def _connect(self, loop: _InlineLoop) -> Any:
        # A loop that runs in this thread would forbid what synchronous code does in Django.
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(loop)  # type: ignore[arg-type]
        try:
            return self._server.memory_connection()
        finally:
            asyncio._set_running_loop(running)

    def _django(self, request: Any) -> Any:
        request.came_as(self._exchange.wire)
        response = self._call(request)
        self._exchange.answered(request, response)
        return response

    def _on_error(self, error: BaseException, request: Any = None) -> None:
        self._exchange.errors.append(error)


class OwnMiddleware(BaseHandler):
    """Loads Django's classes, whatever stands under their names for the tests."""

    def load_middleware(self, is_async: bool = False) -> None:
        with djangos_own():
            super().load_middleware(is_async)


class ClientHandler(OwnMiddleware, SyncHandler):
    """In the place of django.test.client.ClientHandler."""

    def __init__(self, enforce_csrf_checks: bool = True) -> None:
        BaseHandler.__init__(self)
        self.enforce_csrf_checks = enforce_csrf_checks

    def __call__(self, environ: dict[str, Any]) -> Any:
        if self._middleware_chain is None:
            self.load_middleware()
        # One server per request, for the sake of views that send requests themselves.
        server = SyncServer(self._handle)
        with connections_kept():
            exchange = server.send(from_environ(environ))
        response = exchange.result()
        response.wsgi_request = exchange.request
        return response

    def _handle(self, request: Any) -> HttpResponseBase:
        request._dont_enforce_csrf_checks = not self.enforce_csrf_checks
        return SyncHandler.__call__(self, request)


# --- on an event loop -------------------------------------------------------------------


class AsyncServer:
    """Sends requests through the server, to a handler on the running event loop."""

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call = call
        self._exchange: Exchange
        router = _quintette.Router()
        router.add_view("/")
        router.add_view("/<path:rest>")
        self._server = _quintette.Server(
            router=router, django_async=self._django, on_error=self._on_error, limits=LIMITS
        )

    async def send(self, wire: WireRequest) -> Exchange:
        exchange = self._exchange = Exchange(wire)
        output = asyncio.Event()
        connection = self._server.memory_connection()
        connection.set_wake(output.set)
        connection.feed(wire.encoded())
        while True:
            exchange.received += connection.take()
            if not self._server.stats()["in_flight"]:
                break
            await output.wait()
            output.clear()
        exchange.received += connection.take()
        return exchange

    async def _django(self, request: Any) -> Any:
        request.came_as(self._exchange.wire)
        response = await self._call(request)
        self._exchange.answered(request, response)
        return response

    def _on_error(self, error: BaseException, request: Any = None) -> None:
        self._exchange.errors.append(error)


class AsyncClientHandler(OwnMiddleware, AsyncHandler):
    """In the place of django.test.client.AsyncClientHandler."""

    def __init__(self, enforce_csrf_checks: bool = True) -> None:
        BaseHandler.__init__(self)
        self.enforce_csrf_checks = enforce_csrf_checks

    async def __call__(self, scope: dict[str, Any]) -> Any:
        if self._middleware_chain is None:
            AsyncHandler.__init__(self)
        body_file = scope.pop("_body_file", None)
        wire = from_scope(scope, body_file.read() if body_file is not None else b"")
        server = AsyncServer(self._handle)
        with connections_kept():
            exchange = await server.send(wire)
            await self.aclose()
        response = exchange.result()
        response.asgi_request = exchange.request
        return response

    async def _handle(self, request: Any) -> HttpResponseBase:
        request._dont_enforce_csrf_checks = not self.enforce_csrf_checks
        return await AsyncHandler.__call__(self, request)


def install() -> None:
    import django.test.client

    _quintette.set_request_class(TestedRequest)
    django.test.client.ClientHandler = ClientHandler  # type: ignore[misc,assignment]
    django.test.client.AsyncClientHandler = AsyncClientHandler  # type: ignore[misc,assignment]
