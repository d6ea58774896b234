"""Events for many subscribers: encoded once, written to each connection from C."""

from __future__ import annotations

from django.urls import path
from msgspec import Struct

from quintette import API, Channel, EventStream

api = API(title="Bench", version="1")


class Message(Struct):
    text: str


channel: Channel[Message] = Channel(Message)


@api.get("/events")
async def events() -> EventStream[Message]:
    return EventStream(channel.subscribe())


@api.post("/publish")
async def publish(text: str) -> None:
    channel.publish(Message(text))


urlpatterns = [path("", api.urls)]
