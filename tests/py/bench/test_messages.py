"""The generators of messages, and the probes, against small servers of which all is known."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest

from bench import cases, floors, report
from bench.errors import UnavailableError
from bench.load import messages
from bench.load.round import Round
from bench.server import Launch, Server

pytestmark = pytest.mark.slow
BYTES = 64
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """A server in a thread; what is left of its connections ends with it."""
    loop = asyncio.new_event_loop()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(guarded, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def finish() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(finish(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=60)
        loop.close()


# ---- WebSocket ---------------------------------------------------------------------------------


class Echo:
    """RFC 6455, as far as the generator goes: answers each message by frames of `answer`."""

    def __init__(self, answer: Callable[[bytes], list[bytes]], status: int = 101) -> None:
        self.answer = answer
        self.status = status
        self.frames: list[tuple[int, bytes]] = []
        self.masks: set[bytes] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        accept = b64encode(sha1(key + GUID, usedforsecurity=False).digest()).decode()
        if self.status != 101:
            writer.write(f"HTTP/1.1 {self.status} No\r\nContent-Length: 0\r\n\r\n".encode())
            return
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        while True:
            for frame in self.answer(await self.message(reader)):
                writer.write(frame)

    async def message(self, reader: asyncio.StreamReader) -> bytes:
        """The next text; control frames before it are kept."""
        while True:
            first, length = await reader.readexactly(2)
            assert length & 0x80, "RFC 6455, 5.1: a client's frames are masked"
            length &= 0x7F
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2))
            mask = await reader.readexactly(4)
            masked = await reader.readexactly(length)
            repeated = (mask * (length // 4 + 1))[:length]
            plain = int.from_bytes(masked) ^ int.from_bytes(repeated)
            content = plain.to_bytes(length)
            self.masks.add(mask)
            self.frames.append((first, content))
            if first == 0x81:
                return content


def text(content: bytes) -> bytes:
    length = len(content)
    head = bytes([length]) if length < 126 else b"\x7e" + length.to_bytes(2)
    return b"\x81" + head + content


def measured(program: Path, *arguments: object) -> Any:
    """As bench/load/messages.py runs it: the round begins with a line, and ends with the input."""
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(
        command, input="\n", check=False, capture_output=True, text=True, timeout=60
    )
    if done.returncode != 0:
        return done.stderr
    ready, results = done.stdout.splitlines()
    assert ready == "ready"
    return json.loads(results)


def echoed(program: Path, port: int, rate: int, seconds: float, length: int = BYTES) -> Any:
    return measured(program / "ws_echo", port, 20, rate, seconds, length, "/echo")


@pytest.mark.parametrize("length", [16, 125, 126, 4096])
def test_each_message_comes_back_as_it_was_sent(load_programs: Path, length: int) -> None:
    server = Echo(lambda message: [text(message)])
    with serving(server) as port:
        came = echoed(load_programs, port, 0, 0.2, length)
    assert came["requests"] == len(server.frames) > 20
    assert (came["failed"], came["unanswered"], came["lost"]) == (0, 0, 0)
    contents = [content for _, content in server.frames]
    assert {len(content) for content in contents} == {length}
    assert len(set(contents)) == len(contents), "a message is told from any other"
    assert len(server.masks) == len(contents), "RFC 6455, 5.3: a mask is not used again"
    assert 0 < came["p50_ms"] <= came["p99_ms"] <= came["max_ms"]


def test_messages_are_due_at_a_rate(load_programs: Path) -> None:
    with serving(Echo(lambda message: [text(message)])) as port:
        came = echoed(load_programs, port, 400, 0.5)
    # As many as are due, and not as many as are echoed; fewer where this machine is late.
    assert 100 <= came["requests"] + came["unanswered"] <= 200


def test_a_ping_is_answered(load_programs: Path) -> None:
    """RFC 6455, 5.5.2 and 5.5.3."""
    server = Echo(lambda message: [b"\x89\x02hi", text(message)])
    with serving(server) as port:
        came = echoed(load_programs, port, 0, 0.2)
    assert (came["failed"], came["lost"]) == (0, 0)
    assert (0x8A, b"hi") in server.frames


@pytest.mark.parametrize(
    "answer",
    [
        lambda message: [text(message[:-1] + b"!")],
        lambda message: [text(message[:-1])],
        lambda message: [text(message), text(message)],
        lambda message: [b"\x82" + text(message)[1:]],
        lambda message: [b"\x01" + text(message)[1:]],
        lambda message: [b"\x88\x02\x03\xe8"],
    ],
    ids=["another text", "shorter", "twice", "binary", "a fragment", "closed"],
)
def test_what_is_no_echo_is_a_lost_connection(
    load_programs: Path, answer: Callable[[bytes], list[bytes]]
) -> None:
    with serving(Echo(answer)) as port:
        came = echoed(load_programs, port, 0, 0.2)
    assert came["lost"] == 20


def test_a_message_that_never_comes_back_is_counted(load_programs: Path) -> None:
    with serving(Echo(lambda message: [])) as port:
        came = echoed(load_programs, port, 0, 0.1)
    assert (came["requests"], came["unanswered"]) == (0, 20)


def test_a_refused_handshake_is_an_error(load_programs: Path) -> None:
    with serving(Echo(lambda message: [], 403)) as port:
        assert "connecting: Connection refused" in echoed(load_programs, port, 0, 0.1)


def probed(case: str, port: int) -> None:
    Server("x", cases.BY_NAME[case], port, Launch([])).check()


@pytest.mark.parametrize(
    ("server", "wrong"),
    [
        (Echo(lambda message: [text(message)]), None),
        (Echo(lambda message: [text(message[:-1])]), "not what the case expects"),
        (Echo(lambda message: [b"\x82" + text(message)[1:]]), "a frame 0x82"),
        (Echo(lambda message: [], 403), "403"),
    ],
)
def test_the_probe_of_an_echo(server: Echo, wrong: str | None) -> None:
    with serving(server) as port:
        if wrong is None:
            probed("ws_echo", port)
        else:
            with pytest.raises(UnavailableError, match=wrong):
                probed("ws_echo", port)


# ---- events ------------------------------------------------------------------------------------

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


class Events:
    """Subscribers at /events; each is sent what `event` makes of a text and its number."""

    def __init__(
        self,
        event: Callable[[str, int], str],
        chunked: bool = True,
        head_at_once: bool = True,
        status: int = 204,
    ) -> None:
        self.event = event
        self.chunked = chunked
        self.head_at_once = head_at_once
        self.status = status
        self.subscribers: list[asyncio.StreamWriter] = []
        self.published = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            line = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
            if not line.startswith("/publish?text="):
                if self.head_at_once:
                    self.send(writer, "")
                self.subscribers.append(writer)
                await reader.read()
                return
            for number, subscriber in enumerate(self.subscribers):
                self.send(subscriber, self.event(line.partition("=")[2], number))
            self.published += 1
            # RFC 9110, 8.6: no length where there is no content.
            length = "" if self.status == 204 else "Content-Length: 0\r\n"
            writer.write(f"HTTP/1.1 {self.status} X\r\n{length}\r\n".encode())

    def send(self, writer: asyncio.StreamWriter, event: str) -> None:
        if not hasattr(writer, "begun"):
            coding = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
            writer.write(f"{HEAD}{coding}\r\n".encode())
            writer.begun = True  # type: ignore[attr-defined]
        if event:
            writer.write(
                f"{len(event):x}\r\n{event}\r\n".encode() if self.chunked else event.encode()
            )


def plain(text: str, number: int) -> str:
    return f'data: {{"text":"{text}"}}\n\n'


def with_all(text: str, number: int) -> str:
    """Comments, other fields, CRLF and no space: HTML Standard, 9.2.5."""
    return f': hi\r\nevent: x\r\nid: {number}\r\ndata:{{"text":"{text}"}}\r\n\r\n'


def heard(program: Path, port: int, rate: float, seconds: float) -> Any:
    arguments = [port, 30, rate, seconds, BYTES, "/events", "/publish?text="]
    return measured(program / "sse_broadcast", *arguments)


@pytest.mark.parametrize(
    "server",
    [
        Events(plain),
        Events(with_all),
        Events(plain, chunked=False),
        Events(plain, head_at_once=False),
    ],
    ids=["chunks", "all fields", "until the end", "head with the first event"],
)
def test_every_event_comes_to_every_subscriber(load_programs: Path, server: Events) -> None:
    with serving(server) as port:
        came = heard(load_programs, port, 0, 0.3)
    assert came["requests"] == 30 * came["publications"] > 30
    assert came["publications"] < server.published, "the first ones are before the round"
    assert (came["failed"], came["unanswered"], came["lost"]) == (0, 0, 0)
    assert 0 < came["p50_ms"] <= came["p99_ms"] <= came["max_ms"]


def test_events_are_due_at_a_rate(load_programs: Path) -> None:
    with serving(Events(plain)) as port:
        came = heard(load_programs, port, 50, 0.5)
    assert 10 <= came["publications"] <= 25
    assert came["requests"] == 30 * came["publications"]


def every_third_lost(text: str, number: int) -> str:
    return "" if number == 7 and int(text[:10]) % 3 == 0 else plain(text, number)


def test_an_event_that_one_subscriber_misses_is_counted(load_programs: Path) -> None:
    with serving(Events(every_third_lost)) as port:
        came = heard(load_programs, port, 30, 0.5)
    missed = came["failed"] + came["unanswered"]
    assert came["publications"] // 3 <= missed <= came["publications"] // 3 + 1
    assert came["requests"] == came["publications"] * 30 - missed


@pytest.mark.parametrize(
    "event",
    [
        lambda text, number: plain(text[:-1] + "!", number),
        lambda text, number: plain(text, number) * 2,
        lambda text, number: f'data: {{"text":\ndata: "{text}"}}\n\n',
        lambda text, number: "data: " + "x" * 2000 + "\n\n",
    ],
    ids=["another text", "twice", "two lines", "too long"],
)
def test_what_was_not_published_is_a_lost_subscriber(
    load_programs: Path, event: Callable[[str, int], str]
) -> None:
    with serving(Events(event)) as port:
        assert "subscribing: Connection refused" in heard(load_programs, port, 0, 0.1)


def test_a_refused_publication_is_an_error(load_programs: Path) -> None:
    with serving(Events(plain, status=500)) as port:
        assert "subscribing: Connection refused" in heard(load_programs, port, 0, 0.1)


@pytest.mark.parametrize(
    ("server", "wrong"),
    [
        (Events(plain), None),
        (Events(with_all), None),
        (Events(plain, chunked=False, head_at_once=False), None),
        (Events(lambda text, number: plain(text[1:], number)), "not what the case expects"),
        (Events(plain, status=500), "answers 500 to what is published"),
    ],
)
def test_the_probe_of_events(server: Events, wrong: str | None) -> None:
    with serving(server) as port:
        if wrong is None:
            probed("sse_broadcast", port)
        else:
            with pytest.raises(UnavailableError, match=wrong):
                probed("sse_broadcast", port)


@pytest.mark.parametrize("case", ["ws_echo", "sse_broadcast"])
@pytest.mark.parametrize(
    ("theirs", "whose"),
    [
        ("uvicorn-asgi", "uvicorn-asgi or uvicorn-starlette"),
        ("uvicorn-starlette", "uvicorn-asgi or uvicorn-starlette"),
        ("bolt-realtime", "bolt-realtime"),
    ],
)
def test_messages_have_floors(case: str, theirs: str, whose: str) -> None:
    part = f"{case}: CPU per request of quintette at most 0.5 of {whose}'s"
    for ours, met in ((5.0, True), (5.01, False)):
        costs = {"quintette": ours, theirs: 10.0}
        rounds = {
            name: Round(1000, 1.0, cpu, 1e3, 0.5, 2.0, 0, 50, 0.5) for name, cpu in costs.items()
        }
        rows = [report.row(case, name, [each]) for name, each in rounds.items()]
        assert [each.met for each in floors.check(rows) if each.floor == part] == [met]


# ---- how rounds are run ------------------------------------------------------------------------


def test_a_round_counts_the_server_between_opening_and_closing(
    load_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "BUILD", load_programs.parent)
    spent = iter([1_000_000, 5_000_000])
    monkeypatch.setattr(messages, "cpu_ns", lambda pids: next(spent))
    monkeypatch.setattr(Server, "pids", lambda self: [])
    with serving(Echo(lambda message: [text(message)])) as port:
        server = Server("x", cases.BY_NAME["ws_echo"], port, Launch([]))
        done = messages.websocket_rate(server, 0, 100, 1)
    assert done.errors == 0
    assert 0 < done.requests <= 100
    assert done.cpu_us_per_request == pytest.approx(4000 / done.requests)


def test_a_generator_that_fails_says_why(
    load_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "BUILD", load_programs.parent)
    with serving(Echo(lambda message: [], 403)) as port:
        server = Server("x", cases.BY_NAME["ws_echo"], port, Launch([]))
        with pytest.raises(RuntimeError, match=r"ws_echo failed: .*Connection refused"):
            messages.websocket_peak(server, 0, 1)
