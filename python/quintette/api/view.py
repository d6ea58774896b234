"""The API as plain Django views: what any Django server calls.

The same plans extract, convert, call and encode as under our own server; only the head and body
come out of a Django request, and the answer goes into a Django response.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import quote

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import BadRequest, DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.db import connections
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern
from django.urls.converters import get_converters

from quintette import _quintette, _streams
from quintette.api import answer, csrf, handshake
from quintette.api.errors import HTTPError, RegistrationError, answer_to
from quintette.api.patterns import Pattern
from quintette.api.plans import ASYNC, THREAD, OnError
from quintette.api.responses import pull
from quintette.api.signature import place_of
from quintette.api.streams import KEEP_ALIVE
from quintette.conf import get_settings

if TYPE_CHECKING:
    from quintette.api.routing import Mounted

# In the order in which Allow lists them, which is the extension's.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")

# Printable ASCII: what a query string may hold as it is.
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class Served:
    """A route's plan for the path that it has within the API."""

    def __init__(self, mounted: Mounted, on_error: OnError) -> None:
        self.mounted = mounted
        self.builder = mounted.builder
        self.on_error = on_error
        self.path_names = mounted.builder.path_names
        self.plan = mounted.plan(self.path_names, on_error)


class Endpoint:
    """All methods of one path."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self.routes: dict[str, Served] = {}
        self.wider: list[URLPattern] = []
        """URL patterns behind this one: one that matches the same path may have the method."""

    def add(self, method: str, mounted: Mounted, on_error: OnError) -> None:
        self.routes[method] = Served(mounted, on_error)

    @property
    def takes_request(self) -> bool:
        return any(served.mounted.takes_request for served in self.routes.values())

    @property
    def non_atomic(self) -> set[str]:
        """Databases for which every handler is marked with Django's non_atomic_requests."""
        marks = [
            set(getattr(served.builder.function, "_non_atomic_requests", ()))
            for served in self.routes.values()
        ]
        return set.intersection(*marks)

    def find(self, method: str | None) -> Served | None:
        served = self.routes.get(method or "")
        return self.routes.get("GET") if served is None and method == "HEAD" else served

    def answers(self, request: HttpRequest) -> Served | None:
        """The route that is asked. A browser's preflight is for the guards of the one that it asks
        about, should one of them answer it; as the server in C has it."""
        served = self.find(request.method)
        if served is not None or request.method != "OPTIONS" or "Origin" not in request.headers:
            return served
        served = self.find(request.headers.get("Access-Control-Request-Method"))
        return served if served is not None and served.plan.preflights else None

    def view(self, pattern: Pattern) -> Callable[..., Any]:
        """For a URL pattern, whose names for the pieces of the path may be its own."""
        if any(served.plan.kind == ASYNC for served in self.routes.values()):
            view = self._async_view(pattern)
        else:
            view = self._sync_view(pattern)
        name = next(iter(self.routes.values())).mounted.route.function.__name__
        view.__name__ = view.__qualname__ = name
        view.csrf_exempt = True  # type: ignore[attr-defined]
        view._non_atomic_requests = self.non_atomic  # type: ignore[attr-defined]
        # Found by quintette.api.lift.
        view.quintette_endpoint = self  # type: ignore[attr-defined]
        view.quintette_pattern = pattern  # type: ignore[attr-defined]
        return view

    def _sync_view(self, pattern: Pattern) -> Callable[..., Any]:
        def view(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            withheld = self._withhold(request)
            if withheld is not None:
                return withheld.give_back(answered(request, **kwargs))
            return answered(request, **kwargs)

        def answered(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            call = self._prepare(request, pattern, kwargs)
            made = call if isinstance(call, tuple) else _run(call)
            return _with_after(_respond(request, made), call)

        return view

    def _async_view(self, pattern: Pattern) -> Callable[..., Any]:
        async def view(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            withheld = self._withhold(request)
            if withheld is not None:
                return withheld.give_back(await answered(request, **kwargs))
            return await answered(request, **kwargs)

        async def answered(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            call = self._prepare(request, pattern, kwargs)
            if isinstance(call, tuple):
                made: answer.Answer = call
            elif call.kind == ASYNC:
                made = await _run_async(call)
            elif call.kind == THREAD:
                made = await sync_to_async(_run)(call)
            else:
                made = await _run_here(call)
            return _with_after(_respond(request, made), call)

        return view

    def _withhold(self, request: HttpRequest) -> csrf.Withheld | None:
        """Under our own server the request does it itself, once it is asked (http/lazy.py)."""
        served = self.find(request.method)
        if served is None or not served.mounted.takes_request:
            return None
        if not csrf.concerns(served.mounted.middleware, request.method):
            return None
        return csrf.Withheld(request)

    def _prepare(
        self, request: HttpRequest, pattern: Pattern, kwargs: dict[str, Any]
    ) -> _quintette.Call | answer.Answer:
        """What is to be called, or the answer of a request for which nothing is."""
        try:
            request.get_host()
        except DisallowedHost as error:
            return _refuse_host(error, request)
        served = self.answers(request)
        if served is None:
            return self._leave(request, pattern, kwargs)
        if served.mounted.route.options.websocket is not None:
            return handshake.elsewhere("upgrade" in request.headers.get("Connection", "").lower())
        try:
            return _quintette.Call(
                plan=served.plan,
                method=request.method or "GET",
                target=b"/?" + _query_of(request),
                fields=_fields_of(request),
                body=_body_of(request, served.plan),
                request=request,
                params=self._params(served, pattern, kwargs),
            )
        except HTTPError as error:
            return served.on_error(error, request)
        except ValueError as error:
            return served.on_error(BadRequest(str(error)), request)

    def _leave(
        self, request: HttpRequest, pattern: Pattern, kwargs: dict[str, Any]
    ) -> _quintette.Call | answer.Answer:
        """The path is known, the method is not: as the router in C does, a wider pattern gets its
        turn before the answer is 405."""
        methods = set(self.routes)
        own = set(pattern.names)
        outer = {name: value for name, value in kwargs.items() if name not in own}
        for url in self.wider:
            match = url.resolve(_path_of(pattern, kwargs))
            if match is None:
                continue
            view: Any = url.callback
            endpoint: Endpoint = view.quintette_endpoint
            if endpoint.answers(request) is not None:
                values = {**outer, **match.kwargs}
                return endpoint._prepare(request, view.quintette_pattern, values)
            methods |= set(endpoint.routes)
        return _refuse_method(request, methods)

    def _params(
        self, served: Served, pattern: Pattern, kwargs: dict[str, Any]
    ) -> tuple[bytes, ...]:
        """As they would stand in the path: the plan converts them itself."""
        own = [_encode_param(pattern.converter_of(name), kwargs[name]) for name in pattern.names]
        extra = served.path_names[len(own) :]
        missing = [name for name in extra if name not in kwargs]
        if missing:
            raise RegistrationError(
                f"{place_of(served.builder.function)}: parameter {missing[0]!r}: is marked Path(), "
                f"and not in the path of the route, nor in that of the URLconf"
            )
        return (*own, *(_encode_param("str", kwargs[name]) for name in extra))


def _refuse_host(error: DisallowedHost, request: HttpRequest) -> answer.Answer:
    """Without CommonMiddleware nobody else looks; the server in C says the same."""
    answer_to(error, request)  # logs it as Django does
    return answer.problem(400, "the Host is not one of ALLOWED_HOSTS")


def _refuse_method(request: HttpRequest, methods: set[str]) -> answer.Answer:
    methods = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    allow = ", ".join(method for method in METHODS if method in methods)
    if request.method == "OPTIONS":
        return answer.BODY, 204, [("Allow", allow)], None
    return answer.problem(405, headers={"Allow": allow})


def _path_of(pattern: Pattern, kwargs: dict[str, Any]) -> str:
    """What the pattern matched."""
    text = "".join(
        _param_text(segment.converter or "str", kwargs[segment.name])
        if segment.name
        else segment.text
        for segment in pattern.segments
    )
    return text.removeprefix("/")


def _param_text(converter: str, value: Any) -> str:
    return value if isinstance(value, str) else str(get_converters()[converter].to_url(value))


def _encode_param(converter: str, value: Any) -> bytes:
    text = _param_text(converter, value)
    return quote(text, safe="/" if converter == "path" else "").encode()


# --- the request ------------------------------------------------------------------------


def _query_of(request: HttpRequest) -> bytes:
    text = request.META.get("QUERY_STRING", "")
    # WSGI hands bytes over as Latin-1, Django's ASGI handler decodes them.
    raw = text.encode("utf-8" if hasattr(request, "scope") else "latin-1", "replace")
    return quote(raw, safe=_PRINTABLE).replace("#", "%23").encode()


def _fields_of(request: HttpRequest) -> list[tuple[bytes, bytes]]:
    return [
        (name.encode("latin-1", "replace"), value.strip().encode("latin-1", "replace"))
        for name, value in request.headers.items()
        # CGI says so when it was not sent.
        if value or name.lower() != "content-type"
    ]


def _body_of(request: HttpRequest, plan: _quintette.Plan) -> bytes:
    if not plan.accepts_body or plan.streams_body:
        return b""
    size_max = plan.body_max or get_settings().body_max_bytes
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdecimal() and int(length) > size_max:
        raise HTTPError(413, "request body too long")
    if "_body" in request.__dict__:
        body: bytes = request.__dict__["_body"]
    elif request._read_started:  # type: ignore[attr-defined]
        raise HTTPError(400, "The body was read by middleware.")
    else:
        body = request.read(size_max + 1)
        request._body = body
    if len(body) > size_max:
        raise HTTPError(413, "request body too long")
    return body


# --- the call ---------------------------------------------------------------------------


def _run(call: _quintette.Call) -> answer.Answer:
    try:
        made = call.before()
        while made is not None and made[0] == answer.AWAIT:
            made = call.resume(async_to_sync(_await)(made[1]))
        if made is None:
            made = call.encode(call.invoke())
    except Exception as error:
        _roll_back()
        made = call.fail(error)
    return call.after(made, True)


async def _await(awaitable: Any) -> Any:
    return await awaitable


def _roll_back() -> None:
    """The exception does not leave the view, but the transaction of ATOMIC_REQUESTS must know."""
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict["ATOMIC_REQUESTS"] and connection.in_atomic_block:
            connection.set_rollback(True)


async def _before(call: _quintette.Call) -> answer.Answer | None:
    made = call.before()
    while made is not None and made[0] == answer.AWAIT:
        made = call.resume(await made[1])
    return made


async def _after(call: _quintette.Call, made: answer.Answer) -> answer.Answer:
    if made[0] == answer.AWAIT:  # an asynchronous exception handler
        made = (await made[1]).answer()
    made = call.after(made, False)
    while made[0] == answer.AWAIT:
        await made[1]
        made = call.after(None, False)
    return made


async def _encoded(call: _quintette.Call, made: answer.Answer) -> answer.Answer:
    while made[0] == answer.AWAIT:
        made = call.encode(await made[1])
    return made


async def _run_here(call: _quintette.Call) -> answer.Answer:
    """A `def` on the loop; its result may be one that is to be awaited."""
    try:
        made = await _before(call)
        if made is None:
            made = await _encoded(call, call.encode(call.invoke()))
    except Exception as error:
        _roll_back()
        made = call.fail(error)
    return await _after(call, made)


async def _run_async(call: _quintette.Call) -> answer.Answer:
    try:
        made = await _before(call)
        if made is None:
            made = await _encoded(call, call.encode(await call.invoke()))
    except Exception as error:
        made = call.fail(error)
    return await _after(call, made)


# --- the response -----------------------------------------------------------------------


class _Part:
    """So many bytes of a file, from where it is."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size
        self.close = file.close

    def read(self, size: int) -> bytes:
        piece = self._file.read(min(size, self._left))
        self._left -= len(piece)
        return piece


def _respond_with_file(status: int, file: IO[bytes], offset: int, size: int) -> HttpResponseBase:
    file.seek(offset)
    response = FileResponse(_Part(file, size) if status == 206 else file, status=status)
    del response["Content-Disposition"]
    response["Content-Length"] = str(size)
    return response


def _closed(source: Any, is_async: bool) -> Any:
    """Of a body that is not wanted, which may have no end: nothing."""
    return _close_async(source) if is_async else iter(())


async def _close_async(source: Any) -> AsyncIterator[bytes]:
    aclose = getattr(source, "aclose", None)
    if aclose is not None:
        await aclose()
    return
    yield b""


def _bare(
    source: Any,
    is_async: bool,
    closer: Any,
    pieces: Callable[[Any], bytes] | None = None,
    keep_alive_ms: int = 0,
    prelude: bytes | None = None,
    encoder: _quintette.Encoder | None = None,
) -> Any:
    """Items as bytes, and these compressed."""
    if pieces is None:
        return source
    if is_async:
        made = _items_async(source, pieces, keep_alive_ms, prelude)
        return made if encoder is None else _streams.encoded_async(made, encoder)
    items = _items(source, pieces, prelude)
    return items if encoder is None else _streams.encoded(items, encoder)


def _items(
    source: Iterator[Any], pieces: Callable[[Any], bytes], prelude: bytes | None
) -> Iterator[bytes]:
    if prelude:
        yield prelude
    yield from map(pieces, source)


async def _items_async(
    source: AsyncIterator[Any],
    pieces: Callable[[Any], bytes],
    keep_alive_ms: int,
    prelude: bytes | None,
) -> AsyncIterator[bytes]:
    if prelude:
        yield prelude
    timeout = keep_alive_ms / 1000 or None
    iterator = aiter(source)
    coming: asyncio.Future[Any] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(_next(iterator))
            done, _ = await asyncio.wait([coming], timeout=timeout)
            if not done:
                yield KEEP_ALIVE
                continue
            item = coming.result()
            coming = None
            if item is _END:
                return
            yield pieces(item)
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait([coming])
        aclose = getattr(source, "aclose", None)
        if aclose is not None:
            await aclose()


_END = object()


async def _next(iterator: AsyncIterator[Any]) -> Any:
    return await anext(iterator, _END)


def _stream(request: HttpRequest, pieces: Any, is_async: bool) -> Any:
    """Piece by piece everywhere; Django would collect what is not of its server's kind first."""
    if isinstance(request, ASGIRequest) and not is_async:
        return pull(pieces)
    if isinstance(request, WSGIRequest) and is_async:
        return _step(pieces)
    return pieces


def _step(pieces: AsyncIterator[Any]) -> Iterator[Any]:
    """An asynchronous iterator on a loop of its own, which runs while a piece is waited for."""

    async def step() -> Any:
        return await anext(pieces, None)

    with asyncio.Runner() as runner:
        try:
            while (piece := runner.run(step())) is not None:
                yield piece
        finally:
            aclose = getattr(pieces, "aclose", None)
            if aclose is not None:
                runner.run(aclose())


def _adopt(response: Any, *changed: Any) -> HttpResponseBase:
    """A Django response, and what guards have made of it: status, fields, body, stream."""
    if changed:
        status, fields, body, stream, _ = changed
        response.status_code = status
        response.headers._store.clear()
        for name, value in fields:
            if name.lower() != "set-cookie":
                response[name] = value
            elif value not in {morsel.OutputString() for morsel in response.cookies.values()}:
                response.cookies.load(value)
        if body is not None:
            response.content = body
        elif not response.streaming:
            response.content = b""
        elif stream is not None:
            response.streaming_content = stream
    return cast("HttpResponseBase", response)


def _with_after(
    response: HttpResponseBase, call: _quintette.Call | answer.Answer
) -> HttpResponseBase:
    """Servers close a response when it has left."""
    if not isinstance(call, tuple) and call.later is not None:
        cast("Any", response)._resource_closers.append(call.later.close)
    return response


def _respond(request: HttpRequest, made: answer.Answer) -> HttpResponseBase:
    kind = made[0]
    if kind == answer.DJANGO:
        return _adopt(made[1], *made[2:])
    _, status, fields, content, *rest = made
    response: HttpResponseBase
    if kind == answer.STREAM:
        pieces = _bare(content, *rest) if request.method != "HEAD" else _closed(content, rest[0])
        response = StreamingHttpResponse(_stream(request, pieces, rest[0]), status=status)
        if rest[1] is not None:
            cast("Any", response)._resource_closers.append(rest[1].close)
    elif kind == answer.FILE:
        response = _respond_with_file(status, content, *rest[:2])
    else:
        response = HttpResponse(content or b"", status=status)
    del response["Content-Type"]
    for name, value in fields:
        if name.lower() == "set-cookie":
            response.cookies.load(value)
        elif name in response:
            response[name] = f"{response[name]}, {value}"
        else:
            response[name] = value
    return response
