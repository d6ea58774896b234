"""The clients themselves."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, NamedTuple, Self, TypedDict, Unpack

from django.core.signals import got_request_exception

from quintette.api.routing import API
from quintette.lifespan import Life
from quintette.testing.backends import Name, Native, make_backend
from quintette.testing.messages import (
    Files,
    Params,
    Request,
    Response,
    build_request,
    deleted_cookies,
)
from quintette.testing.streams import (
    AsyncStreamedResponse,
    Content,
    StreamedResponse,
    streamed,
)
from quintette.testing.websocket import BlockingSession, WebSocketSession

LIFESPAN_SECONDS = 30


class Options(TypedDict, total=False):
    params: Params
    json: Any
    data: Any
    files: Files
    content: bytes | None
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None
    cookies: Mapping[str, str] | None


class _Errors:
    """Exceptions that were answered with 500 while a request ran."""

    def __init__(self) -> None:
        self._caught: BaseException | None = None

    def __enter__(self) -> Self:
        got_request_exception.connect(self._catch, weak=False)
        return self

    def __exit__(self, *exc_info: object) -> None:
        got_request_exception.disconnect(self._catch)

    def _catch(self, **kwargs: Any) -> None:
        self._caught = sys.exc_info()[1]

    def reraise(self) -> None:
        if self._caught is not None:
            raise self._caught


class _Client:
    def __init__(
        self,
        api: API | None = None,
        *,
        backend: Name = "native",
        raise_errors: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._backend = make_backend(backend, api)
        self._life = Life(LIFESPAN_SECONDS, None if api is None else [api.hooks])
        self._raise_errors = raise_errors
        self.headers = dict(headers or {})
        self.cookies: dict[str, str] = {}

    @asynccontextmanager
    async def _streamed(
        self, request: Request, body: Content
    ) -> AsyncIterator[AsyncStreamedResponse]:
        if not isinstance(self._backend, Native):
            raise TypeError("only the native backend has streams")
        async with streamed(self._backend.connect(), request, body) as response:
            yield response
        await self._backend.settle()

    def _build(self, method: str, path: str, options: Options) -> Request:
        given = options.get("headers")
        own = list(given.items() if isinstance(given, Mapping) else given or ())
        names = {name.lower() for name, _ in own}
        common = [
            (name, value) for name, value in self.headers.items() if name.lower() not in names
        ]
        cookies = {**self.cookies, **(options.get("cookies") or {})}
        options = {**options, "headers": [*common, *own], "cookies": cookies}
        return build_request(method, path, **options)

    def _take(self, response: Response, errors: _Errors) -> Response:
        if self._raise_errors:
            errors.reraise()
        self.cookies.update(response.cookies)
        for name in deleted_cookies(response):
            self.cookies.pop(name, None)
        return response

    @asynccontextmanager
    async def _open_websocket(
        self, request: Request, subprotocols: Iterable[str]
    ) -> AsyncIterator[WebSocketSession]:
        if not isinstance(self._backend, Native):
            raise TypeError("only the native backend has WebSockets")
        session = WebSocketSession(self._backend.connect())
        try:
            await session.open(request, list(subprotocols))
            yield session
            await session.close()
        finally:
            session.leave()


class _Flow(NamedTuple):
    """A stream that was opened in one run of a loop, to be closed in another."""

    response: AsyncStreamedResponse
    stack: AsyncExitStack

    async def close(self) -> None:
        await self.stack.aclose()


async def _opened(stream: AbstractAsyncContextManager[AsyncStreamedResponse]) -> _Flow:
    stack = AsyncExitStack()
    return _Flow(await stack.enter_async_context(stream), stack)


class TestClient(_Client):
    """Requests to an API mounted at the root, or without one to the project's URLconf.

    ``backend="native"`` goes through the server in C, ``"django"`` through Django's WSGI handler.
    An exception that would be answered with 500 is raised, unless ``raise_errors`` is False.
    Cookies are kept from one request to the next.
    """

    __test__ = False  # for pytest, which would collect it

    def __enter__(self) -> Self:
        """Within ``with`` the API's lifespan is open; it is on an event loop of its own."""
        self._runner = asyncio.Runner()
        try:
            self._runner.run(self._life.begin())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._runner:
            self._runner.run(self._life.end())

    def request(self, method: str, path: str, **options: Unpack[Options]) -> Response:
        request = self._build(method, path, options)
        with _Errors() as errors:
            response = self._backend.send(request)
        return self._take(response, errors)

    @contextmanager
    def stream(
        self, method: str, path: str, *, body: Content = None, **options: Unpack[Options]
    ) -> Iterator[StreamedResponse]:
        """A response that is read while it comes, to a request whose body may be pieces of an
        iterable. The application runs while something is waited for; leaving the block closes
        the connection."""
        request = self._build(method, path, options)
        with asyncio.Runner() as runner:
            flow = runner.run(_opened(self._streamed(request, body)))
            try:
                yield StreamedResponse(flow.response, runner)
            finally:
                runner.run(flow.close())

    @contextmanager
    def websocket_connect(
        self, path: str, *, subprotocols: Iterable[str] = (), **options: Unpack[Options]
    ) -> Iterator[BlockingSession]:
        """A WebSocket, open within ``with``. WebSocketRefused when the server wants none."""
        request = self._build("GET", path, options)
        with _Errors() as errors, asyncio.Runner() as runner:
            opening = self._open_websocket(request, subprotocols)
            session = runner.run(opening.__aenter__())
            try:
                yield BlockingSession(session, runner)
            except BaseException as error:
                if not runner.run(opening.__aexit__(type(error), error, error.__traceback__)):
                    raise
            else:
                runner.run(opening.__aexit__(None, None, None))
        if self._raise_errors:
            errors.reraise()

    def get(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("GET", path, **options)

    def head(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("HEAD", path, **options)

    def post(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("DELETE", path, **options)

    def options(self, path: str, **options: Unpack[Options]) -> Response:
        return self.request("OPTIONS", path, **options)


class AsyncTestClient(_Client):
    """The same for tests that are coroutines; ``backend="django"`` is Django's ASGI handler."""

    __test__ = False

    async def __aenter__(self) -> Self:
        """Within ``async with`` the API's lifespan is open."""
        await self._life.begin()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._life.end()

    @asynccontextmanager
    async def websocket_connect(
        self, path: str, *, subprotocols: Iterable[str] = (), **options: Unpack[Options]
    ) -> AsyncIterator[WebSocketSession]:
        """A WebSocket, open within ``async with``. WebSocketRefused when the server wants none."""
        request = self._build("GET", path, options)
        with _Errors() as errors:
            async with self._open_websocket(request, subprotocols) as session:
                yield session
        if self._raise_errors:
            errors.reraise()

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, body: Content = None, **options: Unpack[Options]
    ) -> AsyncIterator[AsyncStreamedResponse]:
        """A response that is read while it comes, to a request whose body may be pieces of an
        iterable, asynchronous or not. Leaving the block closes the connection."""
        async with self._streamed(self._build(method, path, options), body) as response:
            yield response

    async def request(self, method: str, path: str, **options: Unpack[Options]) -> Response:
        request = self._build(method, path, options)
        with _Errors() as errors:
            response = await self._backend.asend(request)
        return self._take(response, errors)

    async def get(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("GET", path, **options)

    async def head(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("HEAD", path, **options)

    async def post(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("DELETE", path, **options)

    async def options(self, path: str, **options: Unpack[Options]) -> Response:
        return await self.request("OPTIONS", path, **options)
