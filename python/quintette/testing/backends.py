"""Where a test client's requests go: the server in C without a socket, or Django's own handlers."""

from __future__ import annotations

import asyncio
import io
import types
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol, cast
from urllib.parse import unquote_to_bytes

from asgiref.sync import async_to_sync, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_resolver, path

from quintette import _quintette
from quintette.api import after
from quintette.api.lift import Report, lift
from quintette.api.routing import API
from quintette.testing.messages import Request, Response, make_response, parse_response

# For work behind a response, which a test wants to see done.
AFTER_SECONDS = 10

Name = Literal["native", "django"]


class Backend(Protocol):
    def send(self, request: Request) -> Response: ...
    async def asend(self, request: Request) -> Response: ...


def make_backend(name: Name, api: API | None) -> Backend:
    urlconf = _urlconf_of(api) if api is not None else None
    return Native(urlconf) if name == "native" else Django(urlconf)


def _urlconf_of(api: API) -> types.ModuleType:
    """A URLconf with nothing but the API, at the root."""
    urlconf = types.ModuleType("quintette_test_urls")
    urlconf.urlpatterns = [path("", api.urls)]  # type: ignore[attr-defined]
    return urlconf


def _set_urlconf(request: HttpRequest, urlconf: types.ModuleType | None) -> None:
    if urlconf is not None:
        cast("Any", request).urlconf = urlconf


# --- the server in C --------------------------------------------------------------------


class Native:
    """The parser, router, plans and response writer of ``manage.py serve``. Synchronous handlers
    run where Django's thread-sensitive code does, so that a test's transaction is theirs too."""

    def __init__(self, urlconf: types.ModuleType | None) -> None:
        from quintette.conf import get_settings
        from quintette.http.request import Request as ServerRequest
        from quintette.server.handler import SyncHandler
        from quintette.server.runner import allowed_hosts
        from quintette.traffic.proxies import proxies_of

        _quintette.set_request_class(ServerRequest)
        self._urlconf = urlconf
        self._handler = SyncHandler()
        self._running: set[asyncio.Task[None]] = set()
        self.report: Report
        router, self.report = lift(get_resolver(urlconf))  # type: ignore[arg-type]
        self._server = _quintette.Server(
            router=router,
            django_sync=self._django,
            executor=self._execute,
            allowed_hosts=allowed_hosts(),
        )
        self._server.trust(proxies_of(get_settings()))

    def send(self, request: Request) -> Response:
        response: Response = async_to_sync(self.asend)(request)
        return response

    async def asend(self, request: Request) -> Response:
        output = asyncio.Event()
        connection = self._server.memory_connection()
        connection.set_wake(output.set)
        wire = memoryview(request.wire())
        received = bytearray()
        while True:
            while wire and (taken := connection.feed(wire)):
                wire = wire[taken:]
            received += connection.take()
            if connection.closed:
                break
            await output.wait()
            output.clear()
        await self.settle()
        return parse_response(request.method, bytes(received))

    def connect(self) -> Any:
        """A connection of its own, as a client's."""
        return self._server.memory_connection()

    async def settle(self) -> None:
        """Behind a response: what threads still do for it, and what its handler has left to do."""
        loop = asyncio.get_running_loop()
        if ours := {task for task in self._running if task.get_loop() is loop}:
            await asyncio.wait(ours, timeout=AFTER_SECONDS)
        await after.finish(AFTER_SECONDS)

    def _django(self, request: Any) -> HttpResponseBase:
        _set_urlconf(request, self._urlconf)
        return self._handler(request)

    def _execute(self, job: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, job: Any) -> None:
        try:
            await sync_to_async(job.run)()
        finally:
            job.finish()


# --- Django's handlers ------------------------------------------------------------------


class _WSGI(WSGIHandler):
    def __init__(self, urlconf: types.ModuleType | None) -> None:
        super().__init__()
        self._urlconf = urlconf

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        _set_urlconf(request, self._urlconf)
        return super().get_response(request)


class _ASGI(ASGIHandler):
    def __init__(self, urlconf: types.ModuleType | None) -> None:
        super().__init__()
        self._urlconf = urlconf

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        _set_urlconf(request, self._urlconf)
        return await super().get_response_async(request)


class Django:
    """What gunicorn and ``runserver`` call (WSGI), and for the asynchronous client what uvicorn
    calls (ASGI)."""

    def __init__(self, urlconf: types.ModuleType | None) -> None:
        self._wsgi = _WSGI(urlconf)
        self._asgi = _ASGI(urlconf)

    def send(self, request: Request) -> Response:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            started[:] = [int(status.split(maxsplit=1)[0]), headers]

        result = self._wsgi(_environ(request), start_response)
        try:
            content = b"".join(result)
        finally:
            close: Callable[[], None] | None = getattr(result, "close", None)
            if close:
                close()
        # A server sends no body with these.
        if request.method == "HEAD" or started[0] in (204, 304):
            content = b""
        return make_response(started[0], started[1], content)

    async def asend(self, request: Request) -> Response:
        received: list[dict[str, Any]] = []
        sent = asyncio.Event()
        messages = [{"type": "http.request", "body": request.body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await sent.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            received.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                sent.set()

        handler: Callable[..., Awaitable[None]] = self._asgi
        await handler(_scope(request), receive, send)
        start, *rest = received
        content = b"".join(message.get("body", b"") for message in rest)
        if request.method == "HEAD" or start["status"] in (204, 304):
            content = b""
        pairs = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in start["headers"]]
        return make_response(start["status"], pairs, content)


def _environ(request: Request) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "HTTP_HOST": "testserver",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.fields:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    return environ


def _scope(request: Request) -> dict[str, Any]:
    fields = [(b"host", b"testserver"), (b"content-length", str(len(request.body)).encode())]
    fields += [(name.lower().encode(), value.encode("latin-1")) for name, value in request.fields]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote_to_bytes(request.path).decode("utf-8", "replace"),
        "raw_path": request.path.encode(),
        "query_string": request.query.encode(),
        "root_path": "",
        "headers": fields,
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
