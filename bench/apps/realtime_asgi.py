"""The cases of messages as a bare ASGI application: no framework's cost, the server's alone.

An event is encoded once; each subscriber has a queue, as it must have where one may be slow.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

QUEUED_MAX = 1000
HEAD = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
subscribers: set[asyncio.Queue[bytes | None]] = set()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "http" and scope["path"] == "/events":
        await events(receive, send)
    elif scope["type"] == "http":
        await publish(scope, send)


async def echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def events(receive: Any, send: Any) -> None:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED_MAX)

    async def until_it_leaves() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        queue.put_nowait(None)

    leaving = asyncio.create_task(until_it_leaves())
    subscribers.add(queue)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": HEAD})
        while (event := await queue.get()) is not None:
            await send({"type": "http.response.body", "body": event, "more_body": True})
    finally:
        subscribers.discard(queue)
        leaving.cancel()


async def publish(scope: dict[str, Any], send: Any) -> None:
    text = scope["query_string"].removeprefix(b"text=").decode()
    event = f"data: {json.dumps({'text': text}, separators=(',', ':'))}\n\n".encode()
    for queue in subscribers:
        queue.put_nowait(event)
    head = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b""})
