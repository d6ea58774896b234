"""Bodies that handlers take while they come, in every kind of handler and under every server."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import live
import msgspec
import pytest
from live import MakeClient, wait_for

from quintette import API, BodyStream, HTTPError, Lines, RegistrationError, in_loop, waits_here

BIG = bytes(range(256)) * 4096  # 1 MiB


async def _chunks(body: BodyStream) -> int:
    total = 0
    async for chunk in body:
        assert 0 < len(chunk) <= 65536
        total += sum(chunk)
    return total


async def _reads(body: BodyStream) -> int:
    assert await body.read(0) == b""
    first = await body.read(3)
    assert len(first) == 3
    rest = await body.read()
    assert await body.read(10) == b""
    return sum(first) + sum(rest)


def _chunks_in_thread(body: BodyStream) -> int:
    return sum(map(sum, body))


@waits_here
def _chunks_in_greenlet(body: BodyStream) -> int:
    return sum(map(sum, body))


@pytest.mark.parametrize(
    "handler",
    [_chunks, _reads, _chunks_in_thread, _chunks_in_greenlet],
    ids=lambda h: h.__name__,
)
@pytest.mark.parametrize("content", [b"abcd", BIG], ids=["small", "big"])
def test_every_kind_of_handler(connect: MakeClient, handler: Any, content: bytes) -> None:
    api = API()
    api.post("/")(handler)
    client = connect(api)
    assert client.post("/", content=content).json() == sum(content)
    assert client.post("/", content=content).json() == sum(content)


def test_no_body(connect: MakeClient) -> None:
    api = API()

    @api.post("/")
    async def handler(body: BodyStream) -> int:
        return len(await body.read())

    assert connect(api).post("/").json() == 0


def test_too_long(connect: MakeClient) -> None:
    api = API()

    @api.post("/", body_max=1000)
    async def handler(body: BodyStream) -> int:
        return len(await body.read())

    client = connect(api)
    assert client.post("/", content=b"x" * 1000).json() == 1000
    response = client.post("/", content=b"x" * 1001)
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


def test_a_handler_need_not_read(connect: MakeClient) -> None:
    api = API()

    @api.post("/")
    async def handler(body: BodyStream) -> str:
        raise HTTPError(403)

    client = connect(api)
    for content in (b"x", b"x" * 1000):
        assert client.post("/", content=content).status_code == 403


class Row(msgspec.Struct):
    n: int


LINES = b"".join(b'{"n":%d}\n' % n for n in range(20_000))


def test_lines(connect: MakeClient) -> None:
    api = API()

    @api.post("/")
    async def load(rows: Lines[Row]) -> int:
        return sum([row.n async for row in rows])

    @api.post("/sync")
    def load_here(rows: Lines[Row]) -> int:
        return sum(row.n for row in rows)

    client = connect(api)
    for path in ("/", "/sync"):
        for content, expected in ((LINES, sum(range(20_000))), (b'{"n":1}\r\n\n{"n":2}', 3)):
            response = client.post(
                path, content=content, headers={"Content-Type": "application/jsonl; charset=utf-8"}
            )
            assert response.json() == expected


REFUSED = [
    (b'{"n":1}\n{"n":"x"}\n', "application/x-ndjson", 422, "line 2: Expected `int`"),
    (b"{", "application/jsonl", 422, "line 1: "),
    (b'"' + b"x" * (1 << 20), "application/jsonl", 413, "line 1 is longer"),
    (b'{"n":1}', "text/plain", 415, "application/jsonl"),
]


@pytest.mark.parametrize(("content", "media", "status", "detail"), REFUSED)
def test_lines_that_are_refused(
    connect: MakeClient, content: bytes, media: str, status: int, detail: str
) -> None:
    api = API()

    @api.post("/")
    async def load(rows: Lines[Row]) -> int:
        return sum([row.n async for row in rows])

    response = connect(api).post("/", content=content, headers={"Content-Type": media})
    assert response.status_code == status
    assert detail in response.json()["detail"]


def test_declarations() -> None:
    api = API()
    with pytest.raises(RegistrationError, match="has not"):

        @api.get("/")
        async def get(body: BodyStream) -> None: ...

    with pytest.raises(RegistrationError, match="not alone"):

        @api.post("/")
        async def two(body: BodyStream, row: Row) -> None: ...


# --- over sockets ------------------------------------------------------------------------

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"


class Peer:
    def __init__(self, client: live.Client) -> None:
        self.socket = socket.create_connection((live.HOST, client._wire._mount.port), 20)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        return self._file.readline().rstrip()

    def rest(self) -> bytes:
        return self._file.read()

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def serve(servers: live.Servers) -> Any:
    return servers["serve"]


def _collecting(sync: bool, seen: list[Any]) -> API:
    api = API()

    async def handler(body: BodyStream) -> int:
        try:
            async for chunk in body:
                seen.append(chunk)  # noqa: PERF401  # some, also where there is an error
        except (HTTPError, asyncio.CancelledError) as error:
            seen.append(type(error).__name__)
            raise
        return len(seen)

    def handler_here(body: BodyStream) -> int:
        try:
            seen.extend(body)
        except HTTPError as error:
            seen.append(type(error).__name__)
            raise
        return len(seen)

    api.post("/")(handler_here if sync else handler)
    return api


@pytest.mark.parametrize("sync", [False, True], ids=["async", "thread"])
def test_the_handler_begins_with_the_head(serve: Any, sync: bool) -> None:
    """And gets what is there: the client sends on only when that was taken."""
    seen: list[Any] = []
    client = live.Client(_collecting(sync, seen), serve)
    peer = Peer(client)
    peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for text in (b"one", b"two", b"three"):
        peer.send(b"%x\r\n%s\r\n" % (len(text), text))
        wait_for(lambda text=text: seen[-1:] == [text])
    peer.send(b"0\r\n\r\n")
    assert peer.line() == b"HTTP/1.1 200 OK"
    assert seen == [b"one", b"two", b"three"]
    peer.close()
    client.close()


@pytest.mark.parametrize("sync", [False, True], ids=["async", "thread"])
def test_a_client_that_leaves_ends_the_reading(serve: Any, sync: bool) -> None:
    seen: list[Any] = []
    client = live.Client(_collecting(sync, seen), serve)
    peer = Peer(client)
    peer.send(HEAD + b"Content-Length: 10\r\n\r\nabc")
    wait_for(lambda: seen == [b"abc"])
    peer.close()
    wait_for(lambda: len(seen) == 2)
    assert seen[1] == ("ClientLeftError" if sync else "CancelledError")
    client.close()


@pytest.mark.parametrize("sync", [False, True], ids=["async", "thread"])
def test_a_malformed_chunk_is_answered(serve: Any, sync: bool) -> None:
    seen: list[Any] = []
    client = live.Client(_collecting(sync, seen), serve)
    peer = Peer(client)
    peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    wait_for(lambda: seen == [b"a"])
    peer.send(b"x\r\n")
    assert peer.line() == b"HTTP/1.1 400 Bad Request"
    assert b"Connection: close" in peer.rest()
    assert seen == [b"a", "HTTPError"]
    peer.close()
    client.close()


@pytest.mark.parametrize("sync", [False, True], ids=["async", "thread"])
def test_continue_is_sent_when_the_handler_reads(serve: Any, sync: bool) -> None:
    """RFC 9110, 10.1.1."""
    api = API()
    begun, may_read = threading.Event(), threading.Event()

    async def handler(body: BodyStream) -> str:
        begun.set()
        await asyncio.to_thread(may_read.wait, 60)
        return (await body.read()).decode()

    def handler_here(body: BodyStream) -> str:
        begun.set()
        may_read.wait(60)
        return b"".join(body).decode()

    api.post("/")(handler_here if sync else handler)
    client = live.Client(api, serve)
    peer = Peer(client)
    peer.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert begun.wait(60)
    peer.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        peer.socket.recv(1)
    peer.socket.settimeout(60)
    may_read.set()
    peer.close()
    peer = Peer(client)
    peer.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert (peer.line(), peer.line()) == (b"HTTP/1.1 100 Continue", b"")
    peer.send(b"abc")
    assert peer.line() == b"HTTP/1.1 200 OK"
    peer.close()
    client.close()


@pytest.mark.parametrize("sync", [False, True], ids=["async", "thread"])
def test_who_does_not_read_holds_the_client_up(serve: Any, sync: bool) -> None:
    api = API()
    may_read = threading.Event()

    async def handler(body: BodyStream) -> int:
        await asyncio.to_thread(may_read.wait, 60)
        return sum([len(chunk) async for chunk in body])

    def handler_here(body: BodyStream) -> int:
        may_read.wait(60)
        return sum(map(len, body))

    api.post("/", body_max=1 << 30)(handler_here if sync else handler)
    client = live.Client(api, serve)
    peer = Peer(client)
    size = 64 << 20
    sent = 0
    peer.send(HEAD + b"Content-Length: %d\r\n\r\n" % size)
    peer.socket.settimeout(0.2)
    try:
        while sent < size:
            sent += peer.socket.send(bytes(min(1 << 20, size - sent)))
    except TimeoutError:
        pass
    assert sent < size  # kernel and window are full
    may_read.set()
    peer.socket.settimeout(60)
    while sent < size:
        sent += peer.socket.send(bytes(min(1 << 20, size - sent)))
    assert peer.line() == b"HTTP/1.1 200 OK"
    peer.close()
    client.close()


def test_nobody_waits_on_the_loop(serve: Any) -> None:
    """It would never come: the loop receives it."""
    api = API()

    @api.post("/")
    @in_loop
    def handler(body: BodyStream) -> int:
        return sum(map(len, body))

    client = live.Client(api, serve, raise_errors=False)
    assert client.post("/", content=b"abc").status_code in (200, 500)  # it may be there already
    peer = Peer(client)
    peer.send(HEAD + b"Content-Length: 3\r\n\r\na")
    assert peer.line() == b"HTTP/1.1 500 Internal Server Error"
    peer.close()
    client.close()


def test_reading_behind_the_answer_is_refused(serve: Any) -> None:
    api = API()
    kept: list[BodyStream] = []

    @api.post("/")
    async def handler(body: BodyStream) -> None:
        kept.append(body)

    client = live.Client(api, serve)
    assert client.post("/", content=b"abc").status_code == 204
    with pytest.raises(RuntimeError, match="answered"):
        list(kept[0])
    client.close()
