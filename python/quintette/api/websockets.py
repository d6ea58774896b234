"""WebSockets, as handlers have them.

@api.websocket("/rooms/<int:room>")
async def chat(socket: WebSocket[Said, Heard], room: int) -> None:
    async for message in socket:
        await socket.send(Heard(message.text))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, get_args, get_origin

from django.http import HttpRequest

from quintette import _quintette
from quintette.api import types

In = TypeVar("In")
Out = TypeVar("Out")


class WebSocketClosed(Exception):  # noqa: N818 - it is no error
    """The other end is gone: nothing can be received or sent any more. ``code`` is RFC 6455's,
    1005 where the client gave none, 1006 where it left without a word."""

    def __init__(self, code: int, reason: str | None = None) -> None:
        super().__init__(f"{code} {reason}" if reason else str(code))
        self.code = code
        self.reason = reason or ""


class WebSocket(_quintette.WebSocket, Generic[In, Out]):
    """What a WebSocket route is given: messages of type ``In`` come, those of type ``Out`` go.

    ``str`` and ``bytes`` (or ``str | bytes``) are text and binary messages as they are; any other
    type is JSON in text messages, checked against it. The handshake is answered by the first
    ``accept()``, ``receive()`` or ``send()``; an exception before that is answered as any route's.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        request: HttpRequest
        """Of the handshake."""
        user: Any
        """Whom an authentication guard found to ask, or None."""
        subprotocol: str | None
        closed: bool
        close_code: int | None
        close_reason: str

        async def accept(self) -> None:
            """Answers the handshake, if nothing has yet."""

        async def receive(self) -> In:
            """The next message. Behind the last one: WebSocketClosed."""
            raise NotImplementedError

        async def send(self, message: Out) -> None:
            """Waits while the client is behind. WebSocketClosed when it has left."""

        async def close(self, code: int = 1000, reason: str = "") -> None:
            """Says good-bye. Messages that are still to come are dropped."""

        def __aiter__(self) -> AsyncIterator[In]: ...

        async def __anext__(self) -> In:
            raise NotImplementedError


_quintette.set_websocket_classes(WebSocket, WebSocketClosed)


def broadcast(sockets: Iterable[WebSocket[Any, Out]], message: Out) -> int:
    """Sends one message to all of them that are open, and tells how many. It is encoded once, and
    nobody is waited for: a socket whose client is far behind is closed (1013). To be called on the
    event loop's thread."""
    return _quintette.websocket_broadcast(sockets, message)


class Group(Generic[Out]):
    """The sockets of one process that hear the same. Sockets that have closed drop out."""

    def __init__(self) -> None:
        self._sockets: dict[WebSocket[Any, Out], None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def add(self, socket: WebSocket[Any, Out]) -> None:
        """Answers its handshake, if nothing has yet."""
        await socket.accept()
        self._loop = asyncio.get_running_loop()
        self._sockets[socket] = None

    def discard(self, socket: WebSocket[Any, Out]) -> None:
        self._sockets.pop(socket, None)

    @contextmanager
    def holding(self, socket: WebSocket[Any, Out]) -> Iterator[Self]:
        """For a ``with`` around what the handler does while its socket, which must be open, is in
        the group."""
        self._loop = asyncio.get_running_loop()
        self._sockets[socket] = None
        try:
            yield self
        finally:
            self.discard(socket)

    def send(self, message: Out) -> None:
        """To all. From any thread."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        if _running_loop() is loop:
            self._broadcast(message)
        else:
            loop.call_soon_threadsafe(self._broadcast, message)

    def __len__(self) -> int:
        return len(self._sockets)

    def _broadcast(self, message: Out) -> None:
        if broadcast(self._sockets, message) == len(self._sockets):
            return
        for socket in [socket for socket in self._sockets if socket.closed]:
            del self._sockets[socket]


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


# --- annotations ------------------------------------------------------------------------


def is_socket(annotation: Any) -> bool:
    inner = types.strip(annotation)
    cls = get_origin(inner) or inner
    return isinstance(cls, type) and issubclass(cls, _quintette.WebSocket)


def messages_of(annotation: Any) -> tuple[Any, Any]:
    """In and Out. Without them messages are ``str | bytes``."""
    args = get_args(types.strip(annotation))
    return (args[0], args[1]) if args else (str | bytes, str | bytes)
