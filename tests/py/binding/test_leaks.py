"""Nothing grows: thousands of requests of each kind, then as many objects and bytes as before."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from wire import (
    Chunks,
    LiveServer,
    Reply,
    async_router,
    memory_client,
    read_answers,
    rss_bytes,
    run,
    sanitized,
    until,
)

from quintette import _quintette

MIB = 1 << 20
REQUESTS = 20_000
BATCH = 50
# What allocators keep for themselves.
SLACK_BYTES = 6 * MIB
SLACK_OBJECTS = 200


class Body(Reply):
    """A reply that the collector sees."""


def chunks() -> Iterator[bytes]:
    yield b"one"
    yield b"x" * 9000


async def achunks() -> AsyncIterator[bytes]:
    yield b"one"
    await asyncio.sleep(0)
    yield b"x" * 9000


def plain(request: Any) -> Reply:
    request.environ()
    return Body(b"x" * 100, headers={"X-Some": "value"})


def failing(request: Any) -> Reply:
    raise ValueError("each time")


def malformed(request: Any) -> Any:
    return Reply(b"", headers={"a b": "c"})


def streamed(request: Any) -> Reply:
    return Chunks(chunks())


async def quick(request: Any) -> Reply:
    return Body(b"x" * 100)


async def waiting(request: Any) -> Reply:
    await asyncio.sleep(0)
    return Body(b"x" * 9000)


async def failing_async(request: Any) -> Reply:
    await asyncio.sleep(0)
    raise ValueError("each time")


async def cyclic(request: Any) -> Reply:
    reply: Any = Body(b"x" * 5000)
    reply.request, request_cycle = request, [reply]
    reply.cycle = request_cycle
    return reply


async def astreamed(request: Any) -> Reply:
    return Chunks(achunks())


SYNC = [plain, failing, malformed, streamed]
ASYNC = [quick, waiting, failing_async, cyclic, astreamed]


def name_of(function: Any) -> str:
    return str(function.__name__)


class Meter:
    """Warm up, then begin(), then end()."""

    def begin(self) -> None:
        self.objects, self.bytes, self.files = self.look()

    def end(self) -> None:
        objects, size, files = self.look()
        assert objects - self.objects < SLACK_OBJECTS
        assert files <= self.files
        assert sanitized() or size - self.bytes < SLACK_BYTES

    def look(self) -> tuple[int, int, int]:
        for _ in range(3):
            gc.collect()
        return len(gc.get_objects()), rss_bytes(), len(os.listdir("/proc/self/fd"))


def options_of(view: Any) -> dict[str, Any]:
    if view in SYNC:
        return {"django_sync": view}
    return {"router": async_router("/"), "django_async": view, "django_sync": view}


@pytest.mark.slow
@pytest.mark.parametrize("view", SYNC + ASYNC, ids=name_of)
def test_over_sockets(view: Any) -> None:
    pipeline = b"GET / HTTP/1.1\r\nHost: h\r\nCookie: a=b\r\n\r\n" * BATCH
    with LiveServer(**options_of(view), limits={"requests_max": 1 << 30}) as live:
        live.errors = Forgetful()
        with live.connect() as sock:
            answers = read_answers(sock)

            def send(count: int) -> None:
                for _ in range(count // BATCH):
                    sock.sendall(pipeline)
                    for _ in range(BATCH):
                        next(answers)
                until(lambda: live.in_flight == 0)

            measure(send)
        assert live.server.stats()["requests"] >= REQUESTS


class Forgetful(list[BaseException]):
    def append(self, item: BaseException) -> None: ...


def measure(send: Callable[[int], None]) -> None:
    meter = Meter()
    send(REQUESTS // 5)
    meter.begin()
    send(REQUESTS)
    meter.end()


@pytest.mark.slow
@pytest.mark.parametrize("view", ASYNC, ids=name_of)
def test_in_memory(view: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        options = {**options_of(view), "limits": {"requests_max": 1 << 30}}
        with memory_client(loop, on_error=lambda error, request: None, **options) as connection:

            async def send(count: int) -> None:
                for _ in range(count):
                    connection.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                    data = b""
                    while not data.endswith((b"x", b"0\r\n\r\n", b"}")):
                        await asyncio.sleep(0)
                        data = connection.take() or data
                    await asyncio.sleep(0)

            meter = Meter()
            await send(REQUESTS // 5)
            meter.begin()
            await send(REQUESTS)
            meter.end()

    run(main())


@pytest.mark.slow
def test_connections_and_servers() -> None:
    """Each with one request that is cancelled and one exchange that is kept for a while."""
    kept: list[Any] = []

    async def view(request: Any) -> Reply:
        kept.append(request)
        await asyncio.sleep(60)
        return Reply(b"")

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def send(count: int) -> None:
            for _ in range(count):
                server = _quintette.Server(
                    loop._selector,  # type: ignore[attr-defined]
                    router=async_router("/"), django_async=view, django_sync=view,
                )  # fmt: skip
                connection = server.memory_connection()
                connection.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                del connection
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert server.stats()["in_flight"] == 0
                server.close()
                del server
                kept.clear()

        meter = Meter()
        await send(500)
        meter.begin()
        await send(2000)
        meter.end()

    run(main())


@pytest.mark.slow
def test_pollers_and_loops() -> None:
    def make(count: int) -> None:
        for n in range(count):
            poller = _quintette.Poller()
            loop = asyncio.SelectorEventLoop(poller)  # type: ignore[arg-type]
            poller.bind_loop(loop)
            server = _quintette.Server(poller, django_sync=print)
            loop.run_until_complete(asyncio.sleep(0))
            if n % 2:
                server.close()
            loop.close()

    meter = Meter()
    make(100)
    meter.begin()
    make(500)
    meter.end()
