"""Channels of all workers together, by PostgreSQL's NOTIFY."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Self, TypeVar

import msgspec
from asgiref.sync import sync_to_async
from django.db import connections

from quintette import lifespan
from quintette.api.channels import Channel
from quintette.api.encoding import encode_json
from quintette.api.streams import Event

T = TypeVar("T")

logger = logging.getLogger("quintette.channels")

# What a notification takes.
PAYLOAD_MAX: Final = 7999
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_AGAIN_SECONDS: Final = (0.2, 5.0)

# id, data, event, retry, comment
_Payload = tuple[str, Any, str | None, int | None, str | None]
_decode = msgspec.json.Decoder(_Payload).decode


class SharedChannel(Channel[T]):
    """A channel whose events come to the clients of every process that has one of this name, in one
    order: by way of the database ``using``, as notifications. Within a transaction an event is
    sent when that is committed.

    Each serving process holds a connection that listens (``lifespan``). While it is lost, what is
    published does not come to that process. An event takes about 7,900 bytes of JSON. On
    databases other than PostgreSQL it is a ``Channel``."""

    def __new__(cls, item: Any = Any, *, name: str, using: str = "default", **options: Any) -> Self:
        return super().__new__(cls, item, **options)

    def __init__(
        self, item: Any = Any, *, name: str, using: str = "default", **options: Any
    ) -> None:
        super().__init__(item)
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r}: a name has 1 to 40 of a-z, 0-9 and _, a letter first")
        self._topic = f"quintette_{name}"
        self._using = using
        lifespan.hold(self.listening)

    def deliver(self, event: Event[Any]) -> None:
        connection = connections[self._using]
        if connection.vendor != "postgresql":
            self.send(event)
            return
        data = event.data.decode() if isinstance(event.data, bytes) else event.data
        payload = encode_json((str(event.id), data, event.event, event.retry, event.comment))
        if len(payload) > PAYLOAD_MAX:
            raise ValueError(f"an event of {len(payload)} bytes: a notification has {PAYLOAD_MAX}")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [self._topic, payload.decode()])

    async def apublish(self, data: Any, **fields: Any) -> str:
        """``publish()``, which asks the database, for coroutines."""
        published: str = await sync_to_async(self.publish)(data, **fields)
        return published

    # --- listening ---

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Within it events come here. Servers do so by themselves."""
        if connections[self._using].vendor != "postgresql":
            yield
            return
        tried = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._listen(tried))
        try:
            await tried.wait()
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _listen(self, tried: asyncio.Event) -> None:
        import psycopg

        pause, longest = _AGAIN_SECONDS
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    **self._connection_params(), autocommit=True
                ) as connection:
                    await connection.execute(f"LISTEN {self._topic}")
                    tried.set()
                    pause = _AGAIN_SECONDS[0]
                    async for notification in connection.notifies():
                        self._receive(notification.payload)
            except psycopg.Error as error:
                logger.warning("%s: events of other processes are missed: %s", self._topic, error)
            tried.set()
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    def _connection_params(self) -> dict[str, Any]:
        """Django's, without what is about its cursors."""
        params = connections[self._using].get_connection_params()
        for name in ("cursor_factory", "context", "prepare_threshold"):
            params.pop(name, None)
        return params

    def _receive(self, payload: str) -> None:
        """Anybody who may use the database may notify."""
        try:
            name, data, event, retry, comment = _decode(payload)
            self.send(Event(data, id=name, event=event, retry=retry, comment=comment))
        except Exception:
            logger.exception("%s: a notification that is no event", self._topic)
