"""Test clients with responses and requests that take their time, and what happens behind them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from quintette import API, AfterResponse, BodyStream, Channel, EventStream, JSONLines
from quintette.testing import AsyncTestClient, ReceivedEvent, TestClient


def _api(seen: list[Any]) -> API:
    api = API()

    @api.get("/endless")
    async def endless() -> EventStream[int]:
        try:
            for n in itertools.count():
                yield n
                await asyncio.sleep(0)
        finally:
            seen.append("closed")

    @api.get("/lines")
    def lines(count: int = 3) -> JSONLines[int]:
        yield from range(count)

    @api.post("/echo")
    async def echo(body: BodyStream) -> EventStream[str]:
        return EventStream(_decoded(body))

    async def _decoded(body: BodyStream) -> AsyncIterator[str]:
        async for chunk in body:
            yield chunk.decode()

    @api.get("/after")
    async def behind(after: AfterResponse) -> EventStream[int]:
        after(seen.append, "after")
        return EventStream([1])

    return api


def test_a_stream_without_an_end_is_left() -> None:
    seen: list[Any] = []
    client = TestClient(_api(seen))
    with client.stream("GET", "/endless") as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        events = response.iter_events()
        assert [next(events).json() for _ in range(3)] == [0, 1, 2]
        assert seen == []
    assert seen == ["closed"]


def test_the_whole_of_it() -> None:
    client = TestClient(_api([]))
    with client.stream("GET", "/lines") as response:
        assert list(response.iter_lines()) == ["0", "1", "2"]
    with client.stream("GET", "/lines", params={"count": 50_000}) as response:
        assert response.read() == b"".join(b"%d\n" % n for n in range(50_000))
    with client.stream("GET", "/nowhere") as response:
        assert response.status_code == 404
        assert b"Not Found" in b"".join(response.iter_bytes())
    with client.stream("HEAD", "/lines") as response:
        assert response.read() == b""


def test_both_ways_at_once() -> None:
    """An answer to each piece before the next one is sent."""

    async def run() -> list[str]:
        client = AsyncTestClient(_api([]))
        answered = asyncio.Event()
        got = []

        async def pieces() -> AsyncIterator[bytes]:
            for text in ("one", "two", "three"):
                yield text.encode()
                await asyncio.wait_for(answered.wait(), 60)
                answered.clear()

        async with client.stream("POST", "/echo", body=pieces()) as response:
            async for event in response.aiter_events():
                got.append(event.data)
                answered.set()
        return got

    assert asyncio.run(run()) == ["one", "two", "three"]


def test_pieces_of_a_plain_iterable() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 100_000
        yield b"y"

    with TestClient(_api([])).stream("POST", "/echo", body=pieces()) as response:
        assert "".join(event.data for event in response.iter_events()) == "x" * 100_000 + "y"


def test_leaving_waits_for_what_is_behind_the_response() -> None:
    seen: list[Any] = []
    with TestClient(_api(seen)).stream("GET", "/after") as response:
        response.read()
    assert seen == ["after"]


def test_a_channel_without_a_socket() -> None:
    async def run() -> None:
        api, channel = API(), Channel(int)

        @api.get("/")
        async def events() -> EventStream[int]:
            return EventStream(channel.subscribe(), retry=10)

        client = AsyncTestClient(api)
        async with (
            client.stream("GET", "/") as one,
            client.stream("GET", "/") as two,
        ):
            assert channel.subscribers == 2
            channel.publish(7, id="a", event="n")
            for response in (one, two):
                assert await anext(response.aiter_events()) == ReceivedEvent("7", "n", "a", None)
        assert channel.subscribers == 0

    asyncio.run(run())


def test_only_the_native_backend() -> None:
    with (
        pytest.raises(TypeError, match="native"),
        TestClient(_api([]), backend="django").stream("GET", "/lines"),
    ):
        pass
