"""Four parsers behind one face: a stream of bytes in, the requests that it holds out."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

# How a reading ends. "waits": all was read, more may come. "refused": a fault, nothing more is
# read. "closed": the last request was the connection's last.
End = Literal["waits", "refused", "closed"]
Fields = list[tuple[bytes, bytes]]


@dataclass
class Message:
    """A request whose head was accepted. Names are in lower case, values without the white space
    around them; trailers are left out."""

    method: bytes = b""
    target: bytes = b""
    version: str = ""
    fields: Fields = field(default_factory=list)
    persists: bool = True
    body: bytes = b""
    complete: bool = False
    """The end of the body was found."""
    end_at: int = field(default=0, compare=False)
    """Bytes of the stream up to its end, where that is known."""


@dataclass
class Reading:
    messages: list[Message] = field(default_factory=list)
    end: End = "waits"
    why: str = ""
    """Of a refusal."""
    refused_at: int = field(default=0, compare=False)
    """Bytes of the stream that were seen when it was refused, where that is known."""


Reader = Callable[[bytes], Reading]


def field_of(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return name.lower(), value.strip(b" \t")


# --- libq5 ------------------------------------------------------------------------------


class Quintette:
    """libq5's connection, parser and body decoder, as its server uses them."""

    TELL = ctypes.CFUNCTYPE(
        None, ctypes.c_int, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t, ctypes.c_size_t
    )

    def __init__(self, library: Path) -> None:
        self._read = ctypes.CDLL(str(library)).q5_reader_read
        self._read.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, self.TELL]
        self._read.restype = ctypes.c_long

    def __call__(self, data: bytes, cut: int = 0) -> Reading:
        """Received in pieces of `cut` bytes, 0: as a whole. Offsets are known with a cut of 1."""
        told: list[tuple[int, bytes, int]] = []
        tell = self.TELL(lambda what, base, size, at: told.append((what, base[:size], at)))
        taken = self._read(data, len(data), cut, tell)
        assert taken >= 0, "out of memory"
        reading = Reading()
        for what, text, at in told:
            self._take(reading, what, text, at)
        if reading.messages and not reading.messages[-1].persists and reading.messages[-1].complete:
            reading.end = "closed"
        return reading

    def _take(self, reading: Reading, what: int, text: bytes, at: int) -> None:
        messages = reading.messages
        if what == 0:
            messages.append(Message(method=text))
        elif what == 1:
            messages[-1].target = text
        elif what == 2:
            messages[-1].version = f"1.{text.decode()}"
        elif what == 3:
            messages[-1].fields.append((text, b""))
        elif what == 4:
            messages[-1].fields[-1] = field_of(messages[-1].fields[-1][0], text)
        elif what == 5:
            messages[-1].persists = text == b"1"
        elif what == 6:
            messages[-1].body = text
            messages[-1].complete, messages[-1].end_at = True, at
        else:
            reading.end, reading.why, reading.refused_at = "refused", text.decode(), at


# --- llhttp, strict ---------------------------------------------------------------------


class LLHTTP:
    """llhttp by the package of that name, without any leniency."""

    def __init__(self) -> None:
        self._module = importlib.import_module("llhttp")
        self.version: str = self._module.version
        self._class = _llhttp_class(self._module)

    def __call__(self, data: bytes) -> Reading:
        reading = Reading()
        parser = self._class()
        parser.reading = reading
        try:
            while data:
                # It stops behind a request that asks for another protocol. A server that does not
                # speak it goes on.
                data = data[parser.execute(data) :]
                if parser.is_upgrading:
                    parser.upgrade()
        except self._module.Error as error:
            reading.end, reading.why = "refused", f"{type(error).__name__}: {error}"
        return closed(reading)


def _llhttp_class(module: Any) -> type[Any]:
    class Parser(module.Request):  # type: ignore[misc]
        reading: Reading

        def on_message_begin(self) -> None:
            self.message = Message()
            self.head = True
            self.name = self.value = b""

        def on_url(self, data: memoryview) -> None:
            self.message.target += bytes(data)

        def on_header_field(self, data: memoryview) -> None:
            self.name += bytes(data)

        def on_header_value(self, data: memoryview) -> None:
            self.value += bytes(data)

        def on_header_value_complete(self) -> None:
            if self.head:
                self.message.fields.append(field_of(self.name, self.value))
            self.name = self.value = b""

        def on_headers_complete(self) -> None:
            self.head = False
            self.message.method = str(self.method).encode()
            self.message.version = f"{self.major}.{self.minor}"
            self.reading.messages.append(self.message)

        def on_body(self, data: memoryview) -> None:
            self.message.body += bytes(data)

        def on_message_complete(self) -> None:
            self.message.persists = self.should_keep_alive
            self.message.complete = True

    return Parser


def closed(reading: Reading) -> Reading:
    """Nothing is read behind a connection's last request; some parsers call what is there a fault,
    others go on."""
    for number, message in enumerate(reading.messages, 1):
        if message.complete and not message.persists:
            del reading.messages[number:]
            reading.end, reading.why = "closed", ""
    return reading


# --- httptools --------------------------------------------------------------------------


class HTTPTools:
    """httptools as uvicorn uses it: the defaults of its own llhttp."""

    def __init__(self) -> None:
        self._module = importlib.import_module("httptools")
        self.version: str = self._module.__version__

    def __call__(self, data: bytes) -> Reading:
        reading = Reading()
        try:
            while data:
                sink = _HTTPToolsSink(reading)
                parser = sink.parser = self._module.HttpRequestParser(sink)
                try:
                    parser.feed_data(data)
                    break
                except self._module.HttpParserUpgrade as upgrade:
                    data = data[upgrade.args[0] :]
        except self._module.HttpParserError as error:
            reading.end, reading.why = "refused", f"{type(error).__name__}: {error}"
        return closed(reading)


class _HTTPToolsSink:
    parser: Any

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._message = Message()

    def on_message_begin(self) -> None:
        self._message = Message()
        self._head = True

    def on_url(self, data: bytes) -> None:
        self._message.target += data

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head:
            self._message.fields.append(field_of(name, value))

    def on_headers_complete(self) -> None:
        self._head = False
        self._message.method = self.parser.get_method()
        self._message.version = self.parser.get_http_version()
        self._reading.messages.append(self._message)

    def on_body(self, data: bytes) -> None:
        self._message.body += data

    def on_message_complete(self) -> None:
        self._message.persists = self.parser.should_keep_alive()
        self._message.complete = True


# --- h11 --------------------------------------------------------------------------------


class H11:
    """h11 as uvicorn uses it, with room for larger heads."""

    HEAD_MAX = 1 << 20

    def __init__(self) -> None:
        self._module = importlib.import_module("h11")
        self.version: str = self._module.__version__

    def __call__(self, data: bytes) -> Reading:
        reading = Reading()
        if not data:  # for h11 the end of the stream
            return reading
        h11 = self._module
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=self.HEAD_MAX)
        try:
            connection.receive_data(data)
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                self._take(reading, event)
                if isinstance(event, h11.EndOfMessage):
                    self._answer(reading, connection)
                    if connection.their_state is not h11.IDLE:
                        break
        except h11.RemoteProtocolError as error:
            reading.end, reading.why = "refused", str(error)
        return closed(reading)

    def _take(self, reading: Reading, event: Any) -> None:
        if isinstance(event, self._module.Request):
            pairs = [field_of(name, value) for name, value in event.headers]
            version = event.http_version.decode()
            reading.messages.append(Message(event.method, event.target, version, pairs))
        elif isinstance(event, self._module.Data):
            reading.messages[-1].body += bytes(event.data)
        else:
            reading.messages[-1].complete = True

    def _answer(self, reading: Reading, connection: Any) -> None:
        h11 = self._module
        # A CONNECT that is granted would end HTTP.
        connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
        reading.messages[-1].persists = connection.their_state is not h11.MUST_CLOSE
        with suppress(h11.LocalProtocolError):
            connection.start_next_cycle()


# --- what is there ----------------------------------------------------------------------

PEERS: dict[str, Callable[[], Reader]] = {"llhttp": LLHTTP, "httptools": HTTPTools, "h11": H11}
