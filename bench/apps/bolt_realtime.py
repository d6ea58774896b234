"""The cases of messages on django-bolt. ``BENCH_BOLT_EVENTS`` is ``objects``, which it encodes for
each subscriber, or ``bytes``, encoded once by hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable

import msgspec
from django_bolt import BoltAPI, StreamingResponse, WebSocket
from django_bolt.openapi import OpenAPIConfig
from django_bolt.responses import EventSourceResponse

QUEUED_MAX = 1000
api = BoltAPI(
    enable_logging=False,
    compression=False,
    validate_response=False,
    openapi_config=OpenAPIConfig(title="Bench", version="1", enabled=False),
)
subscribers: set[asyncio.Queue] = set()


@api.websocket("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message)


async def stream():
    queue: asyncio.Queue = asyncio.Queue(QUEUED_MAX)
    subscribers.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        subscribers.discard(queue)


def tell_all(event: object) -> dict[str, int]:
    for queue in list(subscribers):
        queue.put_nowait(event)
    return {"told": len(subscribers)}


if os.environ.get("BENCH_BOLT_EVENTS") == "bytes":

    @api.get("/events")
    async def events():
        return StreamingResponse(stream(), media_type="text/event-stream")

    @api.post("/publish")
    async def publish(text: str):
        return tell_all(b"data: " + msgspec.json.encode({"text": text}) + b"\n\n")

else:

    @api.get("/events", response_class=EventSourceResponse)
    async def events() -> AsyncIterable[dict]:
        async for event in stream():
            yield event

    @api.post("/publish")
    async def publish(text: str):
        return tell_all({"text": text})
