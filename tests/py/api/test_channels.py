"""Channels: one event for many streams, the past for who comes back, an end for who is too slow."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import live
import msgspec
import pytest
from live import wait_for

from quintette import API, Channel, Event, EventStream, LastEventID
from quintette.testing.messages import build_request


class Tick(msgspec.Struct):
    n: int


class Secretive(msgspec.Struct):
    n: int
    secret: str = "s"


def api_of(channel: Channel[Any], **options: Any) -> API:
    api = API()

    @api.get("/")
    async def events(last_event_id: LastEventID = None) -> EventStream[Any]:
        return EventStream(channel.subscribe(last_event_id), **options)

    return api


class Reader:
    """A client's end of one stream."""

    def __init__(self, client: live.Client, headers: dict[str, str] | None = None) -> None:
        self._wire = client._wire.twin()
        request = build_request("GET", "/", headers=(headers or {}).items())
        self.response = self._wire.begin(request)

    def read(self, size: int) -> bytes:
        return self.response.read(size)

    def events(self, count: int) -> bytes:
        """So many, without their ids."""
        lines, ends = [], 0
        while ends < count:
            line = self.response.readline()
            assert line, "the stream has ended"
            ends += line == b"\n"
            if not line.startswith(b"id: "):
                lines.append(line)
        return b"".join(lines)

    def rest(self) -> bytes:
        return self.response.read()

    def close(self) -> None:
        self.response.close()
        self._wire.disconnect()


@pytest.fixture(params=["serve", "uvicorn"])
def server(request: pytest.FixtureRequest, servers: live.Servers) -> Any:
    return servers[request.param]


@pytest.fixture(params=["serve", "uvicorn", "runserver"])
def any_server(request: pytest.FixtureRequest, servers: live.Servers) -> Any:
    """Under WSGI a head comes with the first event."""
    return servers[request.param]


@pytest.fixture
def serve(servers: live.Servers) -> Any:
    return servers["serve"]


def test_everybody_gets_every_event(server: Any) -> None:
    channel = Channel(Tick)
    client = live.Client(api_of(channel), server)
    readers = [Reader(client) for _ in range(20)]
    wait_for(lambda: channel.subscribers == 20)
    for n in range(3):
        channel.publish(Secretive(n))
    for reader in readers:
        assert reader.events(3) == b'data: {"n":0}\n\ndata: {"n":1}\n\ndata: {"n":2}\n\n'
        reader.close()
    wait_for(lambda: channel.subscribers == 0)
    channel.close()
    client.close()


def test_who_comes_back_gets_what_was_missed(any_server: Any) -> None:
    channel: Channel[str] = Channel(history=3)
    client = live.Client(api_of(channel), any_server)
    ids = [channel.publish(text) for text in ("a", "b", "c", "d")]
    assert len(set(ids)) == 4
    for last, expected in (
        (ids[1], b"data: c\n\ndata: d\n\n"),
        (ids[0], b"data: b\n\ndata: c\n\ndata: d\n\n"),  # no longer kept: all that are
        ("of another process", b"data: b\n\ndata: c\n\ndata: d\n\n"),
    ):
        reader = Reader(client, {"Last-Event-ID": last})
        assert reader.events(expected.count(b"\n\n")) == expected
        reader.close()
    channel.close()
    client.close()


def test_new_subscribers_get_new_events_and_close_ends(server: Any) -> None:
    channel: Channel[str] = Channel()
    client = live.Client(api_of(channel, retry=100), server)
    channel.publish("before")
    reader = Reader(client)
    wait_for(lambda: channel.subscribers == 1)
    channel.publish("after", id="7", event="note", retry=5)
    channel.close()
    assert reader.rest() == b"retry: 100\n\nretry: 5\nid: 7\nevent: note\ndata: after\n\n"
    with pytest.raises(RuntimeError, match="closed"):
        channel.publish("too late")
    reader.close()
    client.close()


def test_publishing_from_threads(serve: Any) -> None:
    channel: Channel[int] = Channel()
    client = live.Client(api_of(channel), serve)
    reader = Reader(client)
    wait_for(lambda: channel.subscribers == 1)

    def publish(base: int) -> None:
        for n in range(20):
            channel.publish(base + n)

    threads = [threading.Thread(target=publish, args=(base,)) for base in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got = [int(part[6:]) for part in reader.events(60).split(b"\n\n") if part]
    assert sorted(got) == [base + n for base in (0, 100, 200) for n in range(20)]
    for base in (0, 100, 200):  # in the order in which each has published
        own = [n for n in got if base <= n < base + 20]
        assert own == sorted(own)
    reader.close()
    client.close()


BIG = "x" * 60_000


@pytest.mark.parametrize("slow", ["drop", "disconnect"])
def test_who_is_slow(serve: Any, slow: Any) -> None:
    """It reads nothing while more is published than kernel, connection and channel keep."""
    channel: Channel[str] = Channel(history=8, slow=slow)
    client = live.Client(api_of(channel), serve)
    reader = Reader(client)
    wait_for(lambda: channel.subscribers == 1)
    count = 400
    for n in range(count):
        channel.publish(f"{n} {BIG}")
    if slow == "disconnect":
        wait_for(lambda: channel.subscribers == 0)
        received = reader.rest()
    else:
        channel.close()
        received = reader.rest()
    numbers = [int(part.split(b"data: ")[1].split()[0]) for part in received.split(b"\n\n")[:-1]]
    assert numbers == sorted(numbers)
    assert numbers[0] == 0
    assert len(numbers) < count
    if slow == "drop":
        assert numbers[-8:] == list(range(count - 8, count))
    else:
        assert numbers == list(range(len(numbers)))
    reader.close()
    client.close()


def test_head_is_no_subscriber(serve: Any) -> None:
    channel: Channel[str] = Channel()
    client = live.Client(api_of(channel), serve)
    assert client.head("/").status_code == 200
    assert channel.subscribers == 0
    client.close()


def test_a_drain_ends_streams(servers: live.Servers) -> None:
    """So that browsers connect again, to a worker that stays."""
    serve: Any = servers["serve"]
    channel: Channel[str] = Channel()
    client = live.Client(api_of(channel), serve)
    reader = Reader(client)
    wait_for(lambda: channel.subscribers == 1)
    channel.publish("last")
    mount = client._wire._mount

    async def drain() -> None:
        await asyncio.sleep(0)
        mount._server.drain()

    serve.loop.run(drain())
    assert reader.rest().endswith(b"data: last\n\n")
    assert channel.subscribers == 0
    reader.close()
    client.close()


def test_iterating(serve: Any) -> None:
    channel: Channel[Any] = Channel(history=2)

    async def run() -> list[Any]:
        got = []
        subscription = channel.subscribe()
        for n in range(4):
            channel.publish(n)
        asyncio.get_running_loop().call_later(0.01, channel.publish, "later")
        asyncio.get_running_loop().call_later(0.02, channel.close)
        async for event in subscription:
            assert isinstance(event, Event)
            got.append(event.data)
        assert subscription.missed == 2
        assert channel.subscribers == 0
        return got

    assert asyncio.run(run()) == [2, 3, "later"]


def test_who_stops_iterating_is_forgotten() -> None:
    channel: Channel[Any] = Channel()

    async def run() -> None:
        waiting = asyncio.ensure_future(anext(aiter(channel.subscribe())))
        await asyncio.sleep(0)
        assert channel.subscribers == 1
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.sleep(0)
        assert channel.subscribers == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    "options", [{"history": 0}, {"history": 1 << 20}, {"history_bytes": 0}, {"slow": "wait"}]
)
def test_bounds(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"channel keeps|slow is"):
        Channel(**options)


def test_events_that_are_refused() -> None:
    channel: Channel[Any] = Channel(history_bytes=100)
    for data, options in (("x" * 200, {}), ("x", {"id": "a\nb"}), ("x", {"event": "a\rb"})):
        with pytest.raises(ValueError, match=r"channel keeps|one line"):
            channel.publish(data, **options)
    with pytest.raises(TypeError):
        channel.publish(object())
    channel.publish("x" * 50)
    channel.publish("y" * 50)  # in the place of the first
    assert [event.data[0] for event in channel.subscribe("none").take() or []] == ["y"]
