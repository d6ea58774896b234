"""WebSockets on real sockets: another implementation as the client, raw frames, time, the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket as sockets
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import live
import pytest
from django.test import override_settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from quintette import API, WebSocket, WebSocketClosed

SECONDS = 60
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture
def api() -> API:
    api = API()

    @api.websocket("/echo")
    async def echo(socket: WebSocket[str | bytes, str | bytes]) -> None:
        async for message in socket:
            await socket.send(message)

    api.websocket("/context", compression="context")(echo)
    return api


@pytest.fixture
def mount(servers: live.Servers) -> Iterator[Callable[..., live.Mount]]:
    mounts: list[live.Mount] = []

    def make(api: API, **settings: Any) -> live.Mount:
        with override_settings(QUINTETTE=settings):
            mounts.append(servers["serve"].mount(live.Site(api)))
        return mounts[-1]

    yield make
    for mounted in mounts:
        mounted.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(SECONDS):
            await test()

    asyncio.run(main())


def client(mounted: live.Mount, path: str = "/echo", **options: Any) -> connect:
    return connect(f"ws://{live.HOST}:{mounted.port}{path}", **options)


# --- another implementation -------------------------------------------------------------

OFFERS: list[Any] = [
    None,
    [ClientPerMessageDeflateFactory(client_max_window_bits=True)],
    [ClientPerMessageDeflateFactory(server_no_context_takeover=True)],
    [ClientPerMessageDeflateFactory(client_max_window_bits=9, server_max_window_bits=9)],
    [ClientPerMessageDeflateFactory(client_no_context_takeover=True, server_max_window_bits=15)],
]


@pytest.mark.parametrize("path", ["/echo", "/context"])
@pytest.mark.parametrize("offer", OFFERS)
def test_messages(api: API, mount: Any, offer: Any, path: str) -> None:
    mounted = mount(api)
    messages: list[str | bytes] = ["", "hello", "häß€😀" * 3, b"", b"\xff\x00" * 5]
    text = random.Random(1).randbytes(250_000).hex()
    messages += [text[:size] for size in (125, 126, 4096, 65_535, 65_536, 500_000)]
    messages += [bytes(range(256)) * 256]

    async def test() -> None:
        options = {"compression": None, "extensions": offer}
        async with client(mounted, path, max_size=None, **options) as socket:
            for _ in range(2):
                for message in messages:
                    await socket.send(message)
                    assert await socket.recv() == message
            assert bool(socket.protocol.extensions) == (offer is not None)
            # without waiting in between, which fills buffers on both sides
            sender = asyncio.create_task(send_all(socket, messages * 10))
            for message in messages * 10:
                assert await socket.recv() == message
            await sender

    run(test)


async def send_all(socket: ClientConnection, messages: list[str | bytes]) -> None:
    for message in messages:
        await socket.send(message)


def test_compression_is_what_is_agreed_on(api: API, mount: Any) -> None:
    async def extensions(mounted: live.Mount, path: str = "/echo") -> str | None:
        async with client(mounted, path, compression="deflate") as socket:
            assert socket.response is not None
            return socket.response.headers.get("Sec-WebSocket-Extensions")

    async def test() -> None:
        agreed = await extensions(mount(api))
        assert agreed is not None
        assert "server_no_context_takeover; client_no_context_takeover" in agreed
        agreed = await extensions(mount(api), "/context")
        assert agreed == (
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
        )
        assert await extensions(mount(api, WEBSOCKET_COMPRESSION=False)) is None

    run(test)


def test_fragments(api: API, mount: Any) -> None:
    mounted = mount(api)

    async def test() -> None:
        async with client(mounted) as socket:
            await socket.send(["frag", "men", "", "ts"])
            assert await socket.recv() == "fragments"
            pieces = [random.Random(seed).randbytes(70_000) for seed in range(10)]
            await socket.send(pieces)
            assert await socket.recv() == b"".join(pieces)

    run(test)


def test_ping_and_close(api: API, mount: Any) -> None:
    mounted = mount(api)

    async def test() -> None:
        async with client(mounted) as socket:
            assert await (await socket.ping(b"are you there?")) >= 0
            await socket.close(4000, "bye")
            assert socket.close_code == 4000

    run(test)


@pytest.mark.parametrize(
    ("settings", "message", "code"),
    [
        ({}, "x" * (1024 * 1024 + 1), 1009),
        ({"WEBSOCKET_MESSAGE_BYTES": 100}, b"x" * 101, 1009),
        ({"WEBSOCKET_MESSAGE_BYTES": 100}, ["x" * 60, "x" * 60], 1009),
        ({}, [b"x"] * 1025, 1008),
        ({"WEBSOCKET_FRAGMENTS": 2}, ["a", "b", "c"], 1008),
        ({}, "x" * 900_000, 1009),  # compressed it is some 900 bytes
    ],
)
def test_limits(api: API, mount: Any, settings: Any, message: Any, code: int) -> None:
    mounted = mount(api, **settings)

    async def test() -> None:
        compressed = settings == {} and message == "x" * 900_000
        compression = "deflate" if compressed else None
        async with client(mounted, compression=compression, max_size=None) as socket:
            with contextlib.suppress(ConnectionClosed):
                await socket.send(message)
            await socket.wait_closed()
            assert socket.close_code == code

    run(test)


# --- frames that no client sends --------------------------------------------------------


def shake_hands(raw: sockets.socket) -> bytes:
    raw.sendall(HANDSHAKE)
    head = b""
    while b"\r\n\r\n" not in head:
        head += raw.recv(1)
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    return head


@pytest.fixture
def raw(api: API, mount: Any) -> Iterator[sockets.socket]:
    mounted = mount(api, WEBSOCKET_CLOSE_SECONDS=0.1)
    with sockets.create_connection((live.HOST, mounted.port), SECONDS) as raw:
        head = shake_hands(raw)
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert b"Connection: Upgrade\r\n" in head
        yield raw


def frame(first: int, payload: bytes, mask: bytes = b"\1\2\3\4") -> bytes:
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([first, 0x80 | len(payload)]) + mask + masked


def rest(raw: sockets.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := raw.recv(4096):
            data += piece
    return data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05Hello", 1002),  # RFC 6455, 5.1: not masked
        (frame(0x81, b"\xff"), 1007),  # 8.1
        (frame(0x80, b"x"), 1002),  # 5.4
        (frame(0xC1, b"x"), 1002),  # 5.2: RSV1 that was not agreed on
        (frame(0x09, b""), 1002),  # 5.5
        (frame(0x88, b"\x03"), 1002),  # 7.4
    ],
)
def test_violations_end_the_connection(raw: sockets.socket, data: bytes, code: int) -> None:
    raw.sendall(data)
    answer = rest(raw)
    assert answer[0] == 0x88
    assert struct.unpack(">H", answer[2:4]) == (code,)


def test_byte_by_byte(raw: sockets.socket) -> None:
    for byte in frame(0x81, "grüß".encode()) + frame(0x89, b"p"):
        raw.sendall(bytes([byte]))
    want = b"\x81\x06" + "grüß".encode() + b"\x8a\x01p"
    got = b""
    while len(got) < len(want):
        got += raw.recv(100)
    assert got == want


def test_the_closing_handshake_ends_the_connection(raw: sockets.socket) -> None:
    raw.sendall(frame(0x81, b"a") + frame(0x81, b"b") + frame(0x88, b"\x03\xe8"))
    assert rest(raw) == b"\x81\x01a\x81\x01b\x88\x02\x03\xe8"


def test_a_client_that_does_not_wait_for_the_handshake(api: API, mount: Any) -> None:
    """RFC 6455, 4.1: it must. What it sends is taken for nothing else either."""
    mounted = mount(api)
    with sockets.create_connection((live.HOST, mounted.port), SECONDS) as raw:
        raw.sendall(HANDSHAKE + b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = rest(raw)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Connection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1


# --- time -------------------------------------------------------------------------------


def test_silence_is_broken_by_pings(api: API, mount: Any) -> None:
    mounted = mount(api, WEBSOCKET_PING_SECONDS=0.03, WEBSOCKET_PONG_SECONDS=2)

    async def test() -> None:
        async with client(mounted, ping_interval=None) as socket:
            await asyncio.sleep(2.5)  # longer than a client may be silent
            await socket.send("alive")
            assert await socket.recv() == "alive"

    run(test)


def test_a_client_that_answers_no_ping_is_gone(mount: Any) -> None:
    api = API()
    ended: list[int | None] = []

    @api.websocket("/echo")
    async def wait(socket: WebSocket[str, str]) -> None:
        async for _ in socket:
            pass
        ended.append(socket.close_code)

    mounted = mount(api, WEBSOCKET_PING_SECONDS=0.05, WEBSOCKET_PONG_SECONDS=0.05)
    with sockets.create_connection((live.HOST, mounted.port), SECONDS) as raw:
        raw.sendall(HANDSHAKE)
        assert rest(raw).endswith(b"\x89\x00")
    live.wait_for(lambda: ended == [1006])


# --- clients that mean no good ----------------------------------------------------------


def flood(raw: sockets.socket, data: bytes, most: int) -> int:
    """Sends without reading until the server takes no more; how many bytes it took."""
    raw.settimeout(0.3)
    sent = 0
    with contextlib.suppress(OSError):  # TimeoutError; or it has cut us off already
        while sent < most:
            sent += raw.send(data)
    return sent


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(frame(0x82, bytes(100)), id="messages"),
        pytest.param(frame(0x89, bytes(100)), id="pings"),
    ],
)
def test_a_client_that_floods_without_reading_is_stopped(mount: Any, message: bytes) -> None:
    api = API()
    ended: list[int | None] = []

    @api.websocket("/echo")
    async def echo(socket: WebSocket[bytes, bytes]) -> None:
        try:
            async for received in socket:
                await socket.send(received)
        except WebSocketClosed as closed:
            ended.append(closed.code)
        else:
            ended.append(socket.close_code)

    mounted = mount(api, WRITE_IDLE_SECONDS=0.5)
    most = 200_000_000
    with sockets.create_connection((live.HOST, mounted.port), SECONDS) as raw:
        shake_hands(raw)
        # What the kernels of both sides hold, twice, and our 256 KiB.
        assert flood(raw, message * 1000, most) < 40_000_000
        # It does not take what it has asked for: it is cut.
        live.wait_for(lambda: ended == [1006])
    live.wait_for(lambda: mounted._server.stats()["in_flight"] == 0)


def test_a_handler_that_is_busy_is_given_time(mount: Any) -> None:
    """Who reads, but does not come back to it, is cancelled behind WEBSOCKET_CLOSE_SECONDS."""
    api = API()
    given: list[float] = []

    @api.websocket("/echo")
    async def busy(socket: WebSocket[bytes, bytes]) -> None:
        await socket.receive()
        begun = time.monotonic()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            given.append(time.monotonic() - begun)
            raise

    mounted = mount(api, WEBSOCKET_CLOSE_SECONDS=0.1)
    with sockets.create_connection((live.HOST, mounted.port), SECONDS) as raw:
        shake_hands(raw)
        raw.sendall(frame(0x82, b"x"))
        raw.sendall(frame(0x88, b"\x03\xe8"))
        assert rest(raw) == b"\x88\x02\x03\xe8"
    live.wait_for(lambda: given)
    assert given[0] >= 0.09  # the clock of timers counts in milliseconds
    live.wait_for(lambda: mounted._server.stats()["in_flight"] == 0)


# --- the server stops -------------------------------------------------------------------


def test_drain_says_going_away(mount: Any) -> None:
    api = API()
    closed: list[int] = []

    @api.websocket("/read")
    async def read(socket: WebSocket[str, str]) -> None:
        try:
            await socket.receive()
        except WebSocketClosed as error:
            closed.append(error.code)

    @api.websocket("/push")
    async def push(socket: WebSocket[str, str]) -> None:
        await socket.accept()
        try:
            await asyncio.sleep(SECONDS)
        except asyncio.CancelledError:
            closed.append(0)

    mounted = mount(api)

    async def test() -> None:
        async with client(mounted, "/read") as one, client(mounted, "/push") as two:
            mounted._host.loop.run(drain(mounted))
            for socket in (one, two):
                with pytest.raises(ConnectionClosed) as gone:
                    await socket.recv()
                assert gone.value.rcvd is not None
                assert gone.value.rcvd.code == 1001

    run(test)
    live.wait_for(lambda: sorted(closed) == [0, 1001])
    live.wait_for(lambda: bool(mounted._server.drained))


async def drain(mounted: Any) -> None:
    mounted._server.drain()


def test_many_clients(api: API, mount: Any) -> None:
    mounted = mount(api)

    async def talk(index: int) -> None:
        async with client(mounted, compression=None) as socket:
            for turn in range(20):
                await socket.send(f"{index} {turn}")
                assert await socket.recv() == f"{index} {turn}"

    async def test() -> None:
        await asyncio.gather(*(talk(index) for index in range(50)))

    run(test)
    assert mounted._server.stats()["in_flight"] == 0
