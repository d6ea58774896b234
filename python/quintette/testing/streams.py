"""A test client's end of a request or a response that takes its time."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from quintette.testing.messages import Headers, Request

T = TypeVar("T")
Content = Iterable[bytes] | AsyncIterable[bytes] | None


@dataclass
class ReceivedEvent:
    """An event as a browser has it (HTML, 9.2.6)."""

    data: str
    event: str = "message"
    id: str = ""
    """The last that was set, by this event or one before it."""
    retry: int | None = None

    def json(self) -> Any:
        return msgspec.json.decode(self.data)


class Exchange:
    """One request over a connection in memory: what is sent, and what comes back in pieces."""

    def __init__(self, connection: Any, request: Request, content: Content) -> None:
        self._connection = connection
        self._content = content
        self._received = bytearray()
        self._left: int | None = None
        """Bytes of the body, or of a chunk; None: until the connection ends."""
        self._chunked = False
        self._over = False
        self._moved = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        connection.set_wake(self._moved.set)
        if content is not None:
            request.fields.append(("Transfer-Encoding", "chunked"))
        self._head = request.wire()
        self._bodiless = request.method == "HEAD"
        self.status = 0
        self.headers = Headers()

    async def begin(self) -> None:
        """Until the response's head is there."""
        self._sender = asyncio.get_running_loop().create_task(self._send())
        while True:
            head = await self._until(b"\r\n\r\n")
            line, _, rest = head.partition(b"\r\n")
            self.status = int(line.split(None, 2)[1])
            if self.status >= 200:
                break
        pairs = http.client.parse_headers(io.BytesIO(rest + b"\r\n\r\n")).items()
        self.headers = Headers((name, value.strip()) for name, value in pairs)
        self._chunked = self.headers.get("Transfer-Encoding") == "chunked"
        self._left = 0 if self._chunked else None
        self._over = self._bodiless or self.status in (204, 304)
        if "Content-Length" in self.headers:
            self._left = int(self.headers["Content-Length"])

    async def leave(self) -> None:
        """The client closes the connection, whatever was still to come."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])
        if not self._connection.closed:
            self._connection.eof()
        self._connection.set_wake(None)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, as it comes."""
        while not self._over:
            if self._chunked and self._left == 0:
                self._left = int((await self._until(b"\r\n")).partition(b";")[0], 16)
                if self._left == 0:
                    self._over = True
                    return
            if self._left == 0:
                return
            if not self._received and not await self._more():
                if self._left is not None:
                    raise ConnectionError("the response was cut off")
                return
            piece = bytes(self._received[: self._left])
            del self._received[: len(piece)]
            if self._left is not None:
                self._left -= len(piece)
            if self._chunked and self._left == 0:
                await self._until(b"\r\n")
            yield piece

    # --- the connection ---

    async def _more(self) -> bool:
        """False: the server has closed."""
        while not (data := self._connection.take()):
            if self._connection.closed:
                return False
            await self._moved.wait()
            self._moved.clear()
        self._received += data
        return True

    async def _until(self, end: bytes) -> bytes:
        while (at := self._received.find(end)) < 0:
            if not await self._more():
                raise ConnectionError("the response was cut off")
        found = bytes(self._received[:at])
        del self._received[: at + len(end)]
        return found

    async def _send(self) -> None:
        await self._feed(self._head)
        if self._content is None:
            return
        async for piece in _each(self._content):
            await self._feed(b"%x\r\n%s\r\n" % (len(piece), piece))
        await self._feed(b"0\r\n\r\n")

    async def _feed(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._connection.closed:
            taken = self._connection.feed(view)
            self._moved.set()  # what is answered within is not told
            view = view[taken:]
            if view:
                await asyncio.sleep(0 if taken else 0.001)


async def _each(content: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, AsyncIterable):
        async for piece in content:
            yield piece
    else:
        for piece in content:
            yield piece
            await asyncio.sleep(0)


# --- responses --------------------------------------------------------------------------


class AsyncStreamedResponse:
    """Within ``async with client.stream(...)``: the head is there, the body comes."""

    def __init__(self, exchange: Exchange) -> None:
        self._pieces = exchange.pieces()
        self.status_code = exchange.status
        self.headers = exchange.headers

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aread(self) -> bytes:
        return b"".join([piece async for piece in self._pieces])

    async def aiter_lines(self) -> AsyncIterator[str]:
        """Without their ends; what is behind the last one is a line too."""
        rest = b""
        async for piece in self._pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line.removesuffix(b"\r").decode()
        if rest:
            yield rest.decode()

    async def aiter_events(self) -> AsyncIterator[ReceivedEvent]:
        fields: dict[str, str] = {}
        data: list[str] = []
        last_id = ""
        async for line in self.aiter_lines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name in ("event", "retry"):
                fields[name] = value
            elif name == "id":
                last_id = value
            elif not line and data:
                yield ReceivedEvent(
                    "\n".join(data),
                    fields.get("event") or "message",
                    last_id,
                    int(fields["retry"]) if "retry" in fields else None,
                )
            if not line:
                fields, data = {}, []


class StreamedResponse:
    """The same for tests that are no coroutines."""

    def __init__(self, response: AsyncStreamedResponse, runner: asyncio.Runner) -> None:
        self._response = response
        self._runner = runner
        self.status_code = response.status_code
        self.headers = response.headers

    def iter_bytes(self) -> Iterator[bytes]:
        return self._step(self._response.aiter_bytes())

    def iter_lines(self) -> Iterator[str]:
        return self._step(self._response.aiter_lines())

    def iter_events(self) -> Iterator[ReceivedEvent]:
        return self._step(self._response.aiter_events())

    def read(self) -> bytes:
        return self._runner.run(self._response.aread())

    def _step(self, items: AsyncIterator[T]) -> Iterator[T]:
        while True:
            try:
                item = self._runner.run(_await(anext(items)))
            except StopAsyncIteration:
                return
            yield item


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


@contextlib.asynccontextmanager
async def streamed(
    connection: Any, request: Request, content: Content
) -> AsyncIterator[AsyncStreamedResponse]:
    exchange = Exchange(connection, request, content)
    try:
        await exchange.begin()
        yield AsyncStreamedResponse(exchange)
    finally:
        await exchange.leave()
