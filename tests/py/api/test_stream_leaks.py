"""Streams leave nothing behind: hundreds of each kind, then as many objects as before."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from quintette import (
    API,
    AfterResponse,
    BodyStream,
    Channel,
    EventStream,
    HTTPError,
    JSONLines,
    Lines,
)
from quintette.testing import AsyncTestClient

ROUNDS = 150
SLACK_OBJECTS = 60

channel: Channel[int] = Channel(int, history=4)
api = API()


@api.get("/events")
async def events() -> EventStream[int]:
    for n in range(3):
        yield n
        await asyncio.sleep(0)


@api.get("/endless")
async def endless() -> EventStream[int]:
    while True:
        yield 1
        await asyncio.sleep(0)


@api.get("/lines")
def lines() -> JSONLines[int]:
    yield from range(3)


@api.get("/channel")
async def subscribed() -> EventStream[int]:
    return EventStream(channel.subscribe("x"))


@api.get("/failing")
async def failing() -> EventStream[int]:
    yield 1
    raise ValueError("in the midst of it")


@api.post("/body")
async def body(body: BodyStream) -> int:
    return len(await body.read())


@api.post("/refused")
async def refused(rows: Lines[int]) -> None:
    raise HTTPError(403)


@api.get("/after")
async def behind(after: AfterResponse) -> None:
    after(lambda: None)


async def _whole(client: AsyncTestClient, path: str) -> None:
    async with client.stream("GET", path) as response:
        await response.aread()


async def _left(client: AsyncTestClient, path: str) -> None:
    channel.publish(1)
    async with client.stream("GET", path) as response:
        await anext(response.aiter_events())


async def _cut(client: AsyncTestClient, path: str) -> None:
    with pytest.raises(ConnectionError):
        await _whole(client, path)


async def _posted(client: AsyncTestClient, path: str) -> None:
    headers = {"Content-Type": "application/jsonl"}
    async with client.stream("POST", path, body=[b"1\n"] * 5, headers=headers) as response:
        await response.aread()


async def _got(client: AsyncTestClient, path: str) -> None:
    await client.get(path)


Kind = Callable[[AsyncTestClient, str], Awaitable[None]]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (_whole, "/events"),
        (_whole, "/lines"),
        (_left, "/endless"),
        (_left, "/channel"),
        (_cut, "/failing"),
        (_posted, "/body"),
        (_posted, "/refused"),
        (_got, "/after"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_nothing_grows(kind: Kind, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest would keep what the failing handler has raised.
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)

    async def run() -> int:
        client = AsyncTestClient(api, raise_errors=False)
        for _ in range(ROUNDS):
            await kind(client, path)
        # What leaks grows each time; what other tests have left running grows now and then.
        grown = []
        for _ in range(3):
            before = _objects()
            for _ in range(ROUNDS):
                await kind(client, path)
            grown.append(_objects() - before)
        return min(grown)

    assert asyncio.run(run()) < SLACK_OBJECTS
    assert channel.subscribers == 0


def _objects() -> int:
    gc.collect()
    found: list[Any] = gc.get_objects()
    return len(found)
