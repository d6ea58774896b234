"""The cases of messages on Starlette, which FastAPI's are, too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

QUEUED_MAX = 1000
subscribers: set[asyncio.Queue[bytes]] = set()


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message)


async def stream() -> AsyncIterator[bytes]:
    queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUED_MAX)
    subscribers.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        subscribers.discard(queue)


async def events(request: Request) -> StreamingResponse:
    return StreamingResponse(stream(), media_type="text/event-stream")


async def publish(request: Request) -> Response:
    content = json.dumps({"text": request.query_params["text"]}, separators=(",", ":"))
    for queue in subscribers:
        queue.put_nowait(f"data: {content}\n\n".encode())
    return Response()


app = Starlette(
    routes=[
        WebSocketRoute("/echo", echo),
        Route("/events", events),
        Route("/publish", publish, methods=["POST"]),
    ]
)
