"""A client's end of a WebSocket on a connection without a socket."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from quintette.api.websockets import WebSocketClosed
from quintette.testing.messages import Request, Response, parse_response

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NO_STATUS, ABNORMAL = 1005, 1006


class WebSocketRefused(Exception):  # noqa: N818 - it is an answer
    """The handshake was answered with something else than a WebSocket: ``response``."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"{response.status_code}: {response.text}")
        self.response = response


class WebSocketSession:
    """What a client sees. ``sent_frame()`` and ``next_frame()`` are for what well-behaved clients
    do not do."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._event = asyncio.Event()
        self._closing = False
        self.close_code: int | None = None
        """The server's, once it has closed."""
        self.close_reason = ""
        self.response: Response
        """To the handshake."""
        connection.set_wake(self._event.set)

    async def open(self, request: Request, subprotocols: list[str]) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        own = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", key),
            ("Sec-WebSocket-Version", "13"),
        ]
        if subprotocols:
            own.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
        given = {name.lower() for name, _ in request.fields}
        request.fields += [(name, value) for name, value in own if name.lower() not in given]
        self._write(request.wire(keep_alive=True))
        while b"\r\n\r\n" not in self._incoming:
            if not await self._read():
                raise ConnectionError("the server has closed the connection")
        head, _, rest = bytes(self._incoming).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise WebSocketRefused(await self._answer())
        # Of a 101, http.client would read on for the answer proper.
        as_final = head.replace(b"101", b"200", 1) + b"\r\n\r\n"
        self.response = parse_response("HEAD", as_final)
        self.response.status_code = 101
        self._incoming[:] = rest

    async def _answer(self) -> Response:
        while True:
            try:
                return parse_response("GET", bytes(self._incoming))
            except ConnectionError:  # so far
                if not await self._read():
                    raise

    @property
    def subprotocol(self) -> str | None:
        return self.response.headers.get("Sec-WebSocket-Protocol")

    # --- messages ---

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self.send_frame(TEXT, message.encode())
        else:
            await self.send_frame(BINARY, message)

    async def send_json(self, message: Any) -> None:
        await self.send_frame(TEXT, msgspec.json.encode(message))

    async def receive(self) -> str | bytes:
        """The next message. WebSocketClosed when the server closes instead."""
        kind, payload = 0, b""
        while True:
            opcode, piece, fin = await self.next_frame()
            if opcode == PING:
                await self.send_frame(PONG, piece)
            elif opcode == CLOSE:
                await self._take_close(piece)
            elif opcode != PONG:
                kind = opcode or kind
                payload += piece
                if fin:
                    return payload.decode() if kind == TEXT else payload

    async def receive_json(self) -> Any:
        return msgspec.json.decode(await self.receive())

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self._messages()

    async def _messages(self) -> AsyncIterator[str | bytes]:
        try:
            while True:
                yield await self.receive()
        except WebSocketClosed:
            return

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """With the closing handshake: what the server has sent before is dropped."""
        if self.close_code is None and not self._connection.closed:
            self._closing = True
            await self.send_frame(CLOSE, code.to_bytes(2, "big") + reason.encode())
            async for _ in self:
                pass

    def leave(self) -> None:
        """Without a word, as a client whose network has gone."""
        if not self._connection.closed:
            self._connection.eof()
        self._connection.take()
        self._connection.set_wake(None)

    async def _take_close(self, payload: bytes) -> None:
        self.close_code = int.from_bytes(payload[:2], "big") if payload else NO_STATUS
        self.close_reason = payload[2:].decode()
        if not self._closing:
            await self.send_frame(CLOSE, payload[:2])
        raise WebSocketClosed(self.close_code, self.close_reason)

    # --- frames ---

    async def send_frame(
        self, opcode: int, payload: bytes, *, fin: bool = True, compressed: bool = False
    ) -> None:
        first = (0x80 if fin else 0) | (0x40 if compressed else 0) | opcode
        size = len(payload)
        if size < 126:
            head = bytes([first, 0x80 | size])
        elif size < 1 << 16:
            head = bytes([first, 0x80 | 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([first, 0x80 | 127]) + size.to_bytes(8, "big")
        mask = os.urandom(4)
        pattern = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
        self._write(head + mask + masked.to_bytes(size, "big"))
        await asyncio.sleep(0)

    async def next_frame(self) -> tuple[int, bytes, bool]:
        """(opcode, payload, fin)."""
        while (frame := self._take_frame()) is None:
            if not await self._read():
                self.close_code = ABNORMAL
                raise WebSocketClosed(ABNORMAL)
        return frame

    def _take_frame(self) -> tuple[int, bytes, bool] | None:
        data = self._incoming
        if len(data) < 2:
            return None
        extra = {126: 2, 127: 8}.get(data[1], 0)
        size = int.from_bytes(data[2 : 2 + extra], "big") if extra else data[1]
        end = 2 + extra + size
        if len(data) < end:
            return None
        frame = data[0] & 0x0F, bytes(data[2 + extra : end]), bool(data[0] & 0x80)
        del data[:end]
        return frame

    # --- bytes ---

    def _write(self, data: bytes) -> None:
        """What the server does not take now waits here, as it would in a client's system."""
        self._outgoing += data
        self._push()

    def _push(self) -> None:
        while self._outgoing and (taken := self._connection.feed(bytes(self._outgoing))):
            del self._outgoing[:taken]

    async def _read(self) -> bool:
        """More of what the server sends; False: there is no more."""
        while True:
            self._event.clear()
            self._push()
            received = self._connection.take()
            if received:
                self._incoming += received
                return True
            if self._connection.closed:
                return False
            await self._event.wait()


class BlockingSession:
    """The same for tests that are no coroutines. The server's side goes on while one of the calls
    waits."""

    def __init__(self, session: WebSocketSession, runner: asyncio.Runner) -> None:
        self._session = session
        self._runner = runner

    @property
    def response(self) -> Response:
        return self._session.response

    @property
    def subprotocol(self) -> str | None:
        return self._session.subprotocol

    @property
    def close_code(self) -> int | None:
        return self._session.close_code

    @property
    def close_reason(self) -> str:
        return self._session.close_reason

    def send(self, message: str | bytes) -> None:
        self._runner.run(self._session.send(message))

    def send_json(self, message: Any) -> None:
        self._runner.run(self._session.send_json(message))

    def receive(self) -> str | bytes:
        return self._runner.run(self._session.receive())

    def receive_json(self) -> Any:
        return self._runner.run(self._session.receive_json())

    def __iter__(self) -> Iterator[str | bytes]:
        try:
            while True:
                yield self.receive()
        except WebSocketClosed:
            return

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._runner.run(self._session.close(code, reason))

    def leave(self) -> None:
        self._session.leave()
