"""The suite's servers on real sockets, each in a thread of the test process.

One server of a kind lives for the whole session. What it serves is set for each request, as a
client does one thing after the other: the tests' APIs are made inside of tests.
"""

from __future__ import annotations

import asyncio
import dataclasses
import http.client
import importlib.util
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, Self

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.test import override_settings
from django.urls import path

from quintette import API, _quintette
from quintette.conf import get_settings
from quintette.server.address import Address, address_of
from quintette.server.runner import load_application, open_server, prepare_process
from quintette.server.threads import RequestThreads, tidy
from quintette.testing import Response, TestClient
from quintette.testing.messages import Request, build_request, make_response

HOST = "127.0.0.1"
# For what must happen, on however busy a machine.
SECONDS = 60
KINDS = ("serve", "runserver", "uvicorn")
BACKENDS = [
    "serve",
    "runserver",
    pytest.param(
        "uvicorn",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("uvicorn") is None, reason="uvicorn is not installed"
        ),
    ),
]

# Makes a client for an API; the fixture `connect` is one.
MakeClient = Callable[..., Any]


def wait_for(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """For what a server does behind its answer."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Site:
    """An API at the root of a URLconf of its own."""

    def __init__(self, api: API) -> None:
        self.urlpatterns = [path("", api.urls)]


class Server(Protocol):
    def mount(self, site: Site) -> Mount: ...
    def stop(self) -> None: ...


class Mount(Protocol):
    """A site, ready to be asked."""

    @property
    def port(self) -> int: ...
    def select(self) -> None: ...
    def close(self) -> None: ...


class Client(TestClient):
    """The same requests, over one connection that is kept."""

    def __init__(self, api: API, server: Server, **options: Any) -> None:
        super().__init__(api, **options)
        self._backend = self._wire = Wire(server.mount(Site(api)))

    def peek(self, path: str, size: int) -> bytes:
        """How a body begins that may have no end."""
        return self._wire.peek(build_request("GET", path), size)

    def get_at_once(self, path: str, count: int) -> list[int]:
        """Over as many connections, none of which waits for another's answer."""
        wires = [self._wire.twin() for _ in range(count)]
        answers = [wire.begin(build_request("GET", path), read=False) for wire in wires]
        codes = []
        for wire, answer in zip(wires, answers, strict=True):
            answer.begin()
            codes.append(answer.status)
            wire.disconnect()
        return codes

    def close(self) -> None:
        self._wire.close()


class Wire:
    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self._socket: socket.socket | None = None

    def send(self, request: Request) -> Response:
        response = self.begin(request)
        content = response.read()
        response.close()
        if response.will_close:
            self.disconnect()
        return make_response(response.status, response.getheaders(), content)

    def peek(self, request: Request, size: int) -> bytes:
        response = self.begin(request)
        content = response.read(size)
        response.close()
        self.disconnect()
        return content

    def twin(self) -> Wire:
        return Wire(self._mount)

    def begin(self, request: Request, *, read: bool = True) -> http.client.HTTPResponse:
        self._mount.select()
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self._mount.port), SECONDS)
        self._socket.sendall(request.wire(keep_alive=True))
        response = http.client.HTTPResponse(self._socket, method=request.method)
        if read:
            response.begin()
        return response

    async def asend(self, request: Request) -> Response:
        raise NotImplementedError

    def close(self) -> None:
        self.disconnect()
        self._mount.close()

    def disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


# --- event loops in threads -------------------------------------------------------------


class LoopThread:
    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.start(coroutine).result(SECONDS)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        self._loop.close()


# --- manage.py serve --------------------------------------------------------------------


class Serve:
    """The loop and the threads of quintette.server.runner.Worker. A router belongs to a server, so
    each site has its own, on the same loop."""

    def __init__(self) -> None:
        prepare_process()
        self.poller = _quintette.Poller()
        loop = asyncio.SelectorEventLoop(self.poller)
        self.poller.bind_loop(loop)
        self.threads = _quintette.ThreadPool(4)
        self.async_threads = RequestThreads(4, tidy)
        self.loop = LoopThread(loop, "serve")

    def mount(self, site: Site) -> ServeMount:
        return ServeMount(self, site)

    def stop(self) -> None:
        self.loop.stop()
        self.async_threads.close()
        assert self.threads.stop(SECONDS)


class ServeMount:
    def __init__(self, host: Serve, site: Site) -> None:
        self._host = host
        with override_settings(ROOT_URLCONF=site):
            self.application = load_application(get_settings())
        self._site = site
        self._fd = _quintette.listen(HOST, 0)
        self.port = address_of(self._fd, Address(HOST, 0)).port
        self._server = host.loop.run(self._accept())

    def select(self) -> None:
        pass

    def close(self) -> None:
        self._host.loop.run(self._end())
        os.close(self._fd)

    async def _accept(self) -> Any:
        application = dataclasses.replace(
            self.application,
            sync_handler=self._django,
            async_handler=self._django_async if self.application.async_handler else None,
        )
        host = self._host
        server = open_server(application, host.poller, host.threads, host.async_threads)
        server.accept_on(self._fd)
        return server

    async def _end(self) -> None:
        self._server.abort()
        while self._server.stats()["in_flight"]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        self._server.close()
        if self.application.async_handler is not None:
            await self.application.async_handler.aclose()

    def _django(self, request: Any) -> Any:
        request.urlconf = self._site
        return self.application.sync_handler(request)

    async def _django_async(self, request: Any) -> Any:
        request.urlconf = self._site
        assert self.application.async_handler is not None
        return await self.application.async_handler(request)


# --- Django's handlers: a site is chosen for each request -------------------------------


class Chosen:
    def __init__(self, host: Hosted, handler: Any) -> None:
        self._host = host
        self._handler = handler
        self.port = host.port

    def select(self) -> None:
        self._host.handler = self._handler

    def close(self) -> None:
        self._host.handler = None


class Hosted:
    port: int
    handler: Any = None


class _WSGI(WSGIHandler):
    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site

    def get_response(self, request: Any) -> Any:
        request.urlconf = self._site
        return super().get_response(request)


class _ASGI(ASGIHandler):
    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site

    async def get_response_async(self, request: Any) -> Any:
        request.urlconf = self._site
        return await super().get_response_async(request)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class Runserver(Hosted):
    """What ``manage.py runserver`` starts, with a thread per connection."""

    def __init__(self) -> None:
        self._server = ThreadedWSGIServer((HOST, 0), _Quiet)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._server.set_app(self._call)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="runserver", daemon=True
        )
        self._thread.start()

    def mount(self, site: Site) -> Chosen:
        return Chosen(self, _WSGI(site))

    def _call(self, environ: Any, start_response: Any) -> Any:
        return self.handler(environ, start_response)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(SECONDS)
        self._server.server_close()


class Uvicorn(Hosted):
    def __init__(self) -> None:
        import uvicorn

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await self.handler(scope, receive, send)

        config = uvicorn.Config(application, lifespan="off", log_config=None, access_log=False)
        self._server = uvicorn.Server(config)
        listening = socket.create_server((HOST, 0))
        self.port = listening.getsockname()[1]
        self._loop = LoopThread(asyncio.new_event_loop(), "uvicorn")
        self._done = self._loop.start(self._server.serve([listening]))

    def mount(self, site: Site) -> Chosen:
        return Chosen(self, _ASGI(site))

    def stop(self) -> None:
        self._server.should_exit = True
        self._done.result(SECONDS)
        self._loop.stop()


class Servers:
    """Those that were asked for."""

    _MAKERS: dict[str, Callable[[], Server]] = {
        "serve": Serve,
        "runserver": Runserver,
        "uvicorn": Uvicorn,
    }

    def __init__(self) -> None:
        self._running: dict[str, Server] = {}

    def __getitem__(self, kind: str) -> Server:
        if kind not in self._running:
            self._running[kind] = self._MAKERS[kind]()
        return self._running[kind]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for server in self._running.values():
            server.stop()
