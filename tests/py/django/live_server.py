"""A server in a thread of the test process, with the handlers that `manage.py serve` uses."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import threading
from typing import Any, Self

from quintette import _quintette
from quintette.conf import parse
from quintette.server.handler import AsyncHandler

HOST = "127.0.0.1"
# For what must happen, on however busy a machine.
PATIENCE_SECONDS = 60


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
        assert self._ready.wait(PATIENCE_SECONDS)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()
        os.close(self.fd)  # the server's parent's, where there is one

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
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.msg, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=PATIENCE_SECONDS)

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
