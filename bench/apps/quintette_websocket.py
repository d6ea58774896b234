"""The echo over WebSockets."""

from __future__ import annotations

from django.urls import path

from quintette import API, WebSocket

api = API(title="Bench", version="1")


@api.websocket("/echo")
async def echo(socket: WebSocket[str, str]) -> None:
    async for message in socket:
        await socket.send(message)


urlpatterns = [path("", api.urls)]
