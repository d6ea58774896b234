"""A server in a thread of the test process, with the handlers that `manage.py serve` uses."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import django
import pytest
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=[
            "quintette",
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        ROOT_URLCONF="urls",
        SECRET_KEY="for tests",
        STATIC_URL="/static/",
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ],
    )
    django.setup()

from django.test import override_settings
from django.urls import clear_url_caches

from quintette import _quintette
from quintette.conf import parse
from quintette.server import lift, static
from quintette.server.handler import AsyncHandler, SyncHandler
from quintette.server.runner import prepare_process

HOST = "127.0.0.1"


class LiveServer:
    def __init__(self, django_sync: Any, django_async: Any = None, **options: Any) -> None:
        self.errors: list[BaseException] = []
        self._options = {"django_sync": django_sync, "django_async": django_async, **options}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)

    def __enter__(self) -> Self:
        self.fd = _quintette.listen(HOST, 0)
        with socket.socket(fileno=self.fd) as sock:
            self.port = sock.getsockname()[1]
            sock.detach()
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        self._poller = _quintette.Poller()
        self._loop = loop = asyncio.SelectorEventLoop(self._poller)
        self._poller.bind_loop(loop)
        try:
            loop.run_until_complete(self._serve())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        threads = _quintette.ThreadPool(4)
        server = _quintette.Server(
            self._poller,
            threads=threads,
            on_error=lambda error, request=None: self.errors.append(error),
            **{"limits": parse({"BODY_MAX_BYTES": 200_000_000}).limits(), **self._options},
        )
        server.accept_on(self.fd)
        self._ready.set()
        await self._stop.wait()
        server.drain()
        for _ in range(200):
            if server.drained:
                break
            await asyncio.sleep(0.01)
        server.abort()
        for _ in range(200):
            if not server.stats()["in_flight"]:
                break
            await asyncio.sleep(0.01)
        server.close()
        for handler in self._options.values():
            if isinstance(handler, AsyncHandler):
                await handler.aclose()
        threads.stop(2)

    # --- clients

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.msg, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=20)

    def send_raw(self, data: bytes) -> bytes:
        with self.connect() as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65536), b""))


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()


@pytest.fixture(autouse=True, scope="session")
def _request_class() -> None:
    prepare_process()


@pytest.fixture
def live() -> Iterator[Callable[..., LiveServer]]:
    """live(urlconf, **settings): the project's handlers over that URLconf."""
    stack: list[Any] = []

    def start(urlconf: Any, **settings: Any) -> LiveServer:
        overridden = override_settings(ROOT_URLCONF=urlconf, ALLOWED_HOSTS=["*"], **settings)
        overridden.enable()
        stack.append(overridden.disable)
        clear_url_caches()
        router, _report, has_async = lift.build_router()
        url = static.development_url()
        server = LiveServer(
            static.StaticFilesSyncHandler(url) if url else SyncHandler(),
            AsyncHandler() if has_async else None,
            router=router,
        )
        stack.append(lambda: server.__exit__(None, None, None))
        return server.__enter__()

    yield start
    while stack:
        stack.pop()()
    clear_url_caches()
