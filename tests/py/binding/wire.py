"""The engine without Django: responses as it reads them, servers, clients that look at bytes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from quintette import _quintette

HOST = "127.0.0.1"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
# For what must happen, on however busy a machine.
WAIT_SECONDS = 60.0


class Reply:
    """What the engine reads of a django.http.HttpResponseBase."""

    file_to_stream = None

    def __init__(
        self,
        content: bytes = b"",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.status_code = status
        pairs = headers or {}
        self.headers = SimpleNamespace(_store={k.lower(): (k, v) for k, v in pairs.items()})
        self.cookies: dict[str, Any] = {}
        self.content = content
        self.streaming = False
        self.is_async = False
        self._on_close = on_close

    def close(self) -> None:
        if self._on_close is not None:
            self._on_close()

    def close_on_loop(self) -> None:
        self.close()


class Chunks(Reply):
    """A streamed one, of a sync or an async iterator."""

    def __init__(self, chunks: Any, **options: Any) -> None:
        super().__init__(**options)
        self._chunks = chunks
        self.streaming = True
        self.is_async = hasattr(chunks, "__aiter__")

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        chunks: AsyncIterator[bytes] = self._chunks.__aiter__()
        return chunks

    def close(self) -> None:
        if not self.is_async and hasattr(self._chunks, "close"):
            self._chunks.close()
        super().close()


def new_loop() -> asyncio.SelectorEventLoop:
    poller = _quintette.Poller()
    loop = asyncio.SelectorEventLoop(poller)  # type: ignore[arg-type]
    poller.bind_loop(loop)
    return loop


def poller_of(loop: asyncio.AbstractEventLoop) -> Any:
    return loop._selector  # type: ignore[attr-defined]


def run(main: Awaitable[Any]) -> Any:
    """asyncio.run on a Poller."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)  # type: ignore[arg-type]


def async_router(*paths: str) -> Any:
    router = _quintette.Router()
    for path in paths:
        router.add_view(path)
    return router


def listen() -> tuple[int, int]:
    fd = _quintette.listen(HOST, 0)
    with socket.socket(fileno=os.dup(fd)) as sock:
        return fd, sock.getsockname()[1]


class LiveServer:
    """A server on a loop in a thread of its own."""

    def __init__(self, **options: Any) -> None:
        self.errors: list[BaseException] = []
        self.threads = options.pop("threads", None) or _quintette.ThreadPool(4)
        self._options = options
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self.fd, self.port = listen()
        self._thread.start()
        assert self._ready.wait(WAIT_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()
        os.close(self.fd)
        assert self.threads.stop(WAIT_SECONDS)

    def _run(self) -> None:
        self.loop = new_loop()
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self.server = _quintette.Server(
            poller_of(self.loop),
            threads=self.threads,
            on_error=lambda error, request: self.errors.append(error),
            **self._options,
        )
        self.server.accept_on(self.fd)
        self._ready.set()
        await self._stop.wait()
        self.server.drain()
        self.server.abort()
        while self.server.stats()["in_flight"]:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self.server.close()

    def call(self, function: Callable[[], Any]) -> Any:
        """On the loop's thread, between two turns."""
        done = threading.Event()
        result: list[Any] = []

        def call() -> None:
            try:
                result.append(function())
            finally:
                done.set()

        self.loop.call_soon_threadsafe(call)
        assert done.wait(WAIT_SECONDS)
        return result[0]

    def connect(self, *, receive_buffer: int = 0) -> socket.socket:
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(WAIT_SECONDS)
        sock.connect((HOST, self.port))
        return sock

    def get(self, path: str = "/", **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def request(self, method: str, path: str = "/", **headers: str) -> Answer:
        lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
        with self.connect() as sock:
            sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode())
            return Answer.read(sock, method)

    @property
    def in_flight(self) -> int:
        flights: int = self.server.stats()["in_flight"]
        return flights


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @classmethod
    def read(cls, sock: socket.socket, method: str = "GET") -> Answer:
        return next(read_answers(sock, method))


def read_answers(sock: socket.socket, method: str = "GET") -> Iterator[Answer]:
    """Those that come on one connection. EOFError when one is cut."""
    with sock.makefile("rb") as file:
        while line := file.readline():
            status = int(line.split()[1])
            headers = dict(_fields(file))
            if method == "HEAD" or status in {204, 304}:
                yield Answer(status, headers, b"")
            elif "transfer-encoding" in headers:
                yield Answer(status, headers, b"".join(_chunks(file)))
            else:
                yield Answer(status, headers, _exactly(file, int(headers["content-length"])))


def _fields(file: Any) -> Iterator[tuple[str, str]]:
    while line := file.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def _exactly(file: Any, size: int) -> bytes:
    data: bytes = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _chunks(file: Any) -> Iterator[bytes]:
    while size := int(_line(file), 16):
        yield _exactly(file, size + 2)[:-2]
    _line(file)


def _line(file: Any) -> bytes:
    line: bytes = file.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return line


def until(condition: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Waits for what happens in another thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not come true"
        time.sleep(0.002)


def sanitized() -> bool:
    """AddressSanitizer keeps freed memory for a while: RSS says nothing."""
    with open("/proc/self/maps") as file:
        return "libasan" in file.read()


def rss_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@contextlib.contextmanager
def memory_client(loop: asyncio.AbstractEventLoop, **options: Any) -> Iterator[Any]:
    """A server on the loop's poller and one connection in memory."""
    server = _quintette.Server(poller_of(loop), **options)
    connection = server.memory_connection()
    try:
        yield connection
    finally:
        del connection
        if not server.stats()["in_flight"]:
            server.close()
