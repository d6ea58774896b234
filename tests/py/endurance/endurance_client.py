"""Clients that behave, and clients that do not, by a seed: each session is a connection, and does
what its kind says."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

RESET = struct.pack("ii", 1, 0)
IP_BIND_ADDRESS_NO_PORT = 24
MEGABYTE = b"u" * (1 << 20)
STEP_SECONDS = 30.0

QUICK = ["/api/async/1", "/api/def/2", "/async", "/static/small.txt"]
WAITING = ["/api/wait/3", "/wait", "/query"]
STREAMS = ["/stream/20000", "/astream/20000", "/static/large.bin"]
# What is answered although the client has closed its sending half.
SYNCHRONOUS = ["/api/def/2", "/query", "/static/small.txt", "/stream/20000"]
ENDLESS = ["/stream/50000000", "/astream/50000000"]
BAD = [
    b"GET / HTTP/1.1\n\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nA b: c\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 40000,
]
HEAD_END = re.compile(rb"\r\n\r\n")
STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ")
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n")


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def post(path: str, length: int) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode()


class Session:
    """One connection."""

    def __init__(self, port: int, dice: random.Random, counts: Counter[str]) -> None:
        self.dice = dice
        self.counts = counts
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._data = b""
        self._sock = socket.socket()
        self._sock.setblocking(False)
        # Several addresses, lest the ports of one run out while old connections time out.
        self._sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        self._sock.bind((f"127.0.0.{dice.randrange(2, 10)}", 0))

    async def run(self, kind: Callable[[Session], Awaitable[None]]) -> None:
        with self._sock:
            await self._loop.sock_connect(self._sock, ("127.0.0.1", self._port))
            await kind(self)

    async def send(self, data: bytes, *, requests: int = 0) -> None:
        self.counts["requests"] += requests
        async with asyncio.timeout(STEP_SECONDS):
            await self._loop.sock_sendall(self._sock, data)

    async def answer(self, status: int = 200) -> bytes:
        """The body of the next response. AssertionError when it is not as told."""
        head = await self._until(HEAD_END)
        found = STATUS.match(head)
        assert found, head
        assert int(found[1]) == status, (head, self._data[:500])
        self.counts["answers"] += 1
        length = LENGTH.search(head)
        return await self._exactly(int(length[1])) if length else await self._chunks()

    async def ends(self) -> None:
        assert not self._data
        assert not await self._recv()

    async def skip(self, size: int) -> None:
        """Receives at least so many bytes, whatever they are."""
        while size > 0:
            size -= len(await self._recv())

    def half_close(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """When it is closed."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    async def _recv(self) -> bytes:
        async with asyncio.timeout(STEP_SECONDS):
            return await self._loop.sock_recv(self._sock, 65536)

    async def _more(self) -> None:
        data = await self._recv()
        assert data, f"cut: {self._data[:200]!r}"
        self._data += data

    async def _until(self, mark: re.Pattern[bytes]) -> bytes:
        while not (found := mark.search(self._data)):
            await self._more()
        part, self._data = self._data[: found.end()], self._data[found.end() :]
        return part

    async def _exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            await self._more()
        part, self._data = self._data[:size], self._data[size:]
        return part

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self._until(re.compile(rb"\r\n")), 16):
            parts.append(await self._exactly(size))
            await self._exactly(2)
        await self._exactly(2)
        return b"".join(parts)


# --- those that behave


def a_path(dice: random.Random) -> str:
    [kind] = dice.choices([QUICK, WAITING, STREAMS], [88, 10, 2])
    return dice.choice(kind)


async def keep_alive(session: Session) -> None:
    for _ in range(session.dice.randrange(1, 30)):
        if session.dice.random() < 0.1:
            await session.send(post("/api/items", 15) + b'{"name":"item"}', requests=1)
            assert await session.answer(201) == b'{"name":"item","tags":[]}'
        else:
            await session.send(get(a_path(session.dice)), requests=1)
            await session.answer()


async def pipelined(session: Session) -> None:
    for _ in range(session.dice.randrange(1, 4)):
        count = session.dice.randrange(2, 40)
        text = b"".join(get(a_path(session.dice)) for _ in range(count))
        await session.send(text, requests=count)
        for _ in range(count):
            await session.answer()


async def upload(session: Session) -> None:
    await session.send(post("/upload", len(MEGABYTE)) + MEGABYTE, requests=1)
    assert await session.answer() == b"%d" % len(MEGABYTE)


async def slow_head(session: Session) -> None:
    text = get("/api/async/9")
    session.counts["requests"] += 1
    for at in range(0, len(text), 12):
        await session.send(text[at : at + 12])
        await asyncio.sleep(0.002)
    await session.answer()


async def half_close(session: Session) -> None:
    paths = session.dice.choices(SYNCHRONOUS, k=3)
    await session.send(b"".join(map(get, paths)), requests=3)
    session.half_close()
    for _ in paths:
        await session.answer()
    await session.ends()


async def refused(session: Session) -> None:
    """Its body is skipped, the connection goes on."""
    await session.send(post("/static/small.txt", 1000), requests=1)
    await session.answer(405)
    await session.send(b"b" * 1000 + get("/async"), requests=1)
    await session.answer()


# --- those that do not


async def bad(session: Session) -> None:
    # It may be answered before all of it was sent.
    with suppress(ConnectionError):
        await session.send(session.dice.choice(BAD), requests=1)
        head = await session._until(HEAD_END)
        assert head.startswith(b"HTTP/1.1 4"), head


async def gone_after_head(session: Session) -> None:
    await session.send(post("/upload", len(MEGABYTE)), requests=1)


async def gone_in_body(session: Session) -> None:
    """Far enough into it for the body to be in a file."""
    part = session.dice.randrange(1, len(MEGABYTE))
    await session.send(post("/upload", len(MEGABYTE)) + MEGABYTE[:part], requests=1)
    if session.dice.random() < 0.5:
        await asyncio.sleep(0.005)


async def gone_in_response(session: Session) -> None:
    await session.send(get(session.dice.choice(ENDLESS)), requests=1)
    await session.skip(session.dice.randrange(1, 300_000))


async def gone_without_reading(session: Session) -> None:
    count = session.dice.randrange(1, 20)
    text = b"".join(get(a_path(session.dice)) for _ in range(count))
    await session.send(text, requests=count)


async def reset(session: Session) -> None:
    session.reset()
    kinds = [gone_after_head, gone_in_body, gone_in_response, gone_without_reading]
    await session.dice.choice(kinds)(session)


async def silent(session: Session) -> None:
    await session.send(b"GET /api/as")


KINDS: dict[Callable[[Session], Awaitable[None]], int] = {
    keep_alive: 300,
    pipelined: 300,
    upload: 8,
    slow_head: 10,
    half_close: 30,
    refused: 30,
    bad: 40,
    gone_after_head: 20,
    gone_in_body: 12,
    gone_in_response: 15,
    gone_without_reading: 40,
    reset: 50,
    silent: 10,
}


async def load(port: int, requests: int, seed: int, concurrency: int = 32) -> Counter[str]:
    """Sessions until so many requests were sent. What happened, by name."""
    counts: Counter[str] = Counter()

    async def one(number: int) -> None:
        dice = random.Random(f"{seed} {number}")
        while counts["requests"] < requests:
            [kind] = dice.choices(list(KINDS), list(KINDS.values()))
            counts[kind.__name__] += 1
            await Session(port, dice, counts).run(kind)

    async with asyncio.TaskGroup() as group:
        for number in range(concurrency):
            group.create_task(one(number))
    return counts
