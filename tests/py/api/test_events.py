"""Event streams, as HTML's "Server-sent events" (9.2) reads them, from every kind of handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import msgspec
import pytest
from live import MakeClient, wait_for

from quintette import (
    API,
    Depends,
    Event,
    EventStream,
    HTTPError,
    JSONLines,
    LastEventID,
    RegistrationError,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:StreamingHttpResponse must consume (a)?synchronous iterators"
)


class Tick(msgspec.Struct):
    n: int


class Secretive(msgspec.Struct):
    n: int
    secret: str = "s"


TICKS = b'data: {"n":0}\n\ndata: {"n":1}\n\n'


async def _generator() -> EventStream[Tick]:
    for n in range(2):
        yield Tick(n)


def _sync_generator() -> EventStream[Tick]:
    for n in range(2):
        yield Tick(n)


async def _declared_as_iterator() -> AsyncIterator[Event[Tick]]:
    for n in range(2):
        yield Event(Tick(n))


def _declared_as_sync_iterator() -> Iterator[Event[Tick]]:
    for n in range(2):
        yield Event(Tick(n))


async def _returned() -> EventStream[Tick]:
    return EventStream(_ticks())


async def _ticks() -> AsyncIterator[Tick]:
    for n in range(2):
        await asyncio.sleep(0)
        yield Tick(n)


def _returned_in_thread() -> EventStream[Tick]:
    return EventStream([Tick(0), Tick(1)])


async def _sync_items_on_loop() -> EventStream[Tick]:
    return EventStream(iter([Tick(0), Tick(1)]))


async def _filtered() -> EventStream[Tick]:
    """What is not declared is not sent."""
    yield Secretive(0)
    yield {"n": 1, "secret": "s"}


HANDLERS = [
    _generator,
    _sync_generator,
    _declared_as_iterator,
    _declared_as_sync_iterator,
    _returned,
    _returned_in_thread,
    _sync_items_on_loop,
    _filtered,
]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
def test_every_kind_of_handler(connect: MakeClient, handler: Any) -> None:
    api = API()
    api.get("/")(handler)
    response = connect(api).get("/")
    assert (response.status_code, response.content) == (200, TICKS)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
def test_head_runs_no_generator(connect: MakeClient, handler: Any) -> None:
    api = API()
    api.get("/")(handler)
    response = connect(api).head("/")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "text/event-stream"


EVENTS: list[tuple[Any, bytes]] = [
    (Event("x"), b"data: x\n\n"),
    (Event("two\nlines"), b"data: two\ndata: lines\n\n"),
    (Event(b"a\r\nb"), b"data: a\ndata: b\n\n"),
    (Event({"a": None}, id=7), b'id: 7\ndata: {"a":null}\n\n'),
    (
        Event("x", id="a", event="tick", retry=500),
        b"retry: 500\nid: a\nevent: tick\ndata: x\n\n",
    ),
    (Event(comment="hi"), b": hi\n\n"),
    (Event("", id="9"), b"id: 9\n\n"),
    ("text", b"data: text\n\n"),
    ([1, "é"], 'data: [1,"é"]\n\n'.encode()),
    (None, b"data: null\n\n"),
]


@pytest.mark.parametrize(("event", "expected"), EVENTS, ids=[str(row[1]) for row in EVENTS])
def test_fields(connect: MakeClient, event: Any, expected: bytes) -> None:
    api = API()

    @api.get("/")
    async def handler() -> EventStream[Any]:
        return EventStream([event])

    assert connect(api).get("/").content == expected


@pytest.mark.parametrize("text", ["1\n2", "1\r", "a\0"])
def test_what_would_end_a_field_is_refused(text: str) -> None:
    from quintette.api.streams import _loosely

    for event in (Event("x", id=text), Event("x", event=text)):
        with pytest.raises(ValueError, match="one line"):
            _loosely(0)(event)


def test_retry_comes_first(connect: MakeClient) -> None:
    api = API()

    @api.get("/")
    async def handler() -> EventStream[str]:
        return EventStream(["x"], retry=2000)

    assert connect(api).get("/").content == b"retry: 2000\n\ndata: x\n\n"


def test_last_event_id(connect: MakeClient) -> None:
    api = API()

    @api.get("/")
    async def handler(last_event_id: LastEventID = None) -> EventStream[str]:
        return EventStream([str(last_event_id)])

    client = connect(api)
    assert client.get("/").content == b"data: None\n\n"
    assert client.get("/", headers={"Last-Event-ID": "7"}).content == b"data: 7\n\n"


def test_declared_status_and_headers(connect: MakeClient) -> None:
    api = API()

    @api.get("/", status=202, headers={"X-A": "b", "Cache-Control": "no-cache"})
    async def handler() -> EventStream[int]:
        yield 1

    response = connect(api).get("/")
    assert response.status_code == 202
    assert (response.headers["x-a"], response.headers["cache-control"]) == ("b", "no-cache")


def test_dependencies_live_as_long_as_the_stream(connect: MakeClient, backend: str) -> None:
    api = API()
    seen: list[str] = []

    async def resource() -> AsyncIterator[str]:
        seen.append("open")
        yield "r"
        seen.append("close")

    def plain() -> Iterator[str]:
        seen.append("open")
        yield "p"
        seen.append("close")

    @api.get("/async")
    async def events(name: Annotated[str, Depends(resource)]) -> EventStream[str]:
        seen.append("first")
        yield name
        seen.append("last")

    @api.get("/sync")
    def sync_events(name: Annotated[str, Depends(plain)]) -> EventStream[str]:
        seen.append("first")
        yield name
        seen.append("last")

    client = connect(api)
    # The loop on which a WSGI server's coroutine has run closes its generators when that ends.
    rows = [("/async", b"data: r\n\n")] if backend not in ("django", "runserver") else []
    for path, data in [*rows, ("/sync", b"data: p\n\n")]:
        assert client.get(path).content == data
        wait_for(lambda: seen[-1] == "close")
        assert seen == ["open", "first", "last", "close"]
        seen.clear()


def test_a_dependency_refuses_before_the_stream_begins(connect: MakeClient) -> None:
    api = API()

    def nobody() -> str:
        raise HTTPError(401)

    @api.get("/")
    async def events(name: Annotated[str, Depends(nobody)]) -> EventStream[str]:
        yield name

    response = connect(api).get("/")
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"


def test_lines(connect: MakeClient) -> None:
    api = API()

    @api.get("/")
    async def rows() -> JSONLines[Tick]:
        for n in range(3):
            yield Secretive(n)

    @api.get("/sync")
    def sync_rows() -> JSONLines[str]:
        yield from ("a", "b\nc")

    client = connect(api)
    response = client.get("/")
    assert response.content == b'{"n":0}\n{"n":1}\n{"n":2}\n'
    assert response.headers["content-type"] == "application/jsonl"
    assert client.get("/sync").content == b'"a"\n"b\\nc"\n'


@pytest.mark.slow
def test_lines_in_numbers(connect: MakeClient) -> None:
    """Far more than what is collected, or what a connection queues."""
    api = API()

    @api.get("/")
    async def rows() -> JSONLines[Tick]:
        for n in range(60_000):
            yield Tick(n)

    @api.get("/sync")
    def sync_rows() -> JSONLines[Tick]:
        for n in range(60_000):
            yield Tick(n)

    client = connect(api)
    expected = b"".join(b'{"n":%d}\n' % n for n in range(60_000))
    assert client.get("/").content == expected
    assert client.get("/sync").content == expected


def test_a_handler_that_yields_says_what() -> None:
    api = API()
    with pytest.raises(RegistrationError, match="EventStream"):

        @api.get("/")
        async def handler() -> AsyncIterator[int]:
            yield 1
