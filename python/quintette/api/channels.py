"""Events for many clients at once."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final, Generic, Literal, Self, TypeVar

import msgspec

from quintette import _quintette
from quintette.api.streams import Event, EventStream, pieces_of

T = TypeVar("T")

HISTORY: Final = 256
HISTORY_BYTES: Final = 1 << 20


class Subscription(_quintette.Subscription, Generic[T]):
    """What ``Channel.subscribe()`` gives: the body of an ``EventStream``, or the events one by one
    (``async for``), for whoever wants to do more with them. For one of the two, once."""

    def __aiter__(self) -> AsyncIterator[Event[T]]:
        return self._events()

    async def _events(self) -> AsyncIterator[Event[T]]:
        loop = asyncio.get_running_loop()
        try:
            while (events := self.take()) is not None:
                for event in events:
                    yield event
                if not events:
                    there = asyncio.Event()
                    if self.set_wake(partial(loop.call_soon_threadsafe, there.set)):
                        await there.wait()
        finally:
            self.set_wake(None)


class Channel(_quintette.Channel, Generic[T]):
    """``publish()`` sends an event to everybody who has subscribed, in this process.

    The last ``history`` events are kept (``history_bytes`` of them at most), encoded once: for who
    connects again and names the last one that it has seen, and for who is slow. Who is so slow
    that an event is not kept any more goes on behind the gap (``slow="drop"``), or is cut off and
    may connect again (``slow="disconnect"``). May be used from any thread."""

    def __new__(
        cls,
        item: Any = Any,
        *,
        history: int = HISTORY,
        history_bytes: int = HISTORY_BYTES,
        slow: Literal["drop", "disconnect"] = "drop",
    ) -> Self:
        if slow not in ("drop", "disconnect"):
            raise ValueError('slow is "drop" or "disconnect"')
        pieces = pieces_of(EventStream.kind, item)
        return super().__new__(cls, pieces, history, history_bytes, slow == "disconnect")

    def __init__(self, item: Any = Any, **options: Any) -> None:
        self._ids = _Ids()

    def publish(
        self,
        data: T | Event[T] | str,
        *,
        id: str | int | None = None,
        event: str | None = None,
        retry: int | None = None,
    ) -> str:
        """The event's id: one of its own where none is given."""
        made: Any = data
        if not isinstance(made, Event):
            made = Event(data, id=id, event=event, retry=retry)
        if made.id is None:
            made = msgspec.structs.replace(made, id=self._ids.next())
        self.deliver(made)
        return str(made.id)

    def deliver(self, event: Event[Any]) -> None:
        """The event is complete."""
        self.send(event)

    def subscribe(self, last_event_id: str | None = None) -> Subscription[T]:
        """Events from now on; with the id of the last one that was seen, those behind it. Where
        that one is not kept any more, all that are."""
        subscription: Subscription[T] = self.open(Subscription, last_event_id or None)
        return subscription


class _Ids:
    """Numbers behind what tells this process from all others, so that an id of another worker, or
    of one before it, is not taken for one of ours."""

    def __init__(self) -> None:
        self._process = 0
        self._prefix = ""
        self._number = 0

    def next(self) -> str:
        if self._process != os.getpid():
            self._process = os.getpid()
            self._prefix = secrets.token_hex(4)
        self._number += 1
        return f"{self._prefix}-{self._number}"
