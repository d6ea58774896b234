"""One exchange with a server, to see that it does what its case says."""

from __future__ import annotations

import gzip
import http.client
import re
import socket
import time
from collections.abc import Callable

from bench.case import Case
from bench.errors import UnavailableError

TIMEOUT_S = 5
UNAUTHORIZED = 401
EVENT_S = 0.2
"""Between the events that show whether the server has subscribed us."""
RECEIVED_MAX = 65536
# The pair of RFC 6455, 1.3: what is checked is that it is a handshake, not who made it.
_KEY, _ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
_FIN_TEXT, _MASKED = 0x81, 0x80


def requests(name: str, case: Case, port: int, path: str) -> None:
    """The case's request, and what it must not answer; UnavailableError says what is wrong."""
    response, body = _ask(case, port, path, case.headers())
    wrong = case.wrong(body) or case.missing(name, response.headers)
    if response.status != 200 or wrong:
        raise UnavailableError(f"{name} {wrong or f'answers {response.status}'}")
    if case.needs and name not in case.without:
        others = {field: value for field, value in case.headers().items() if field != case.needs}
        response, _ = _ask(case, port, path, others)
        if response.status != UNAUTHORIZED:
            raise UnavailableError(f"{name} answers {response.status} without {case.needs}")


def _ask(
    case: Case, port: int, path: str, headers: dict[str, str]
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(case.method, path, case.body or None, headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return response, body


def websocket(name: str, case: Case, port: int, path: str) -> None:
    """A handshake and an echo (RFC 6455); UnavailableError says what is wrong."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
    head += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(f"{head}Sec-WebSocket-Key: {_KEY}\r\n\r\n".encode())
        stream = connection.makefile("rb")
        answer = b""
        while not answer.endswith(b"\r\n\r\n") and len(answer) < RECEIVED_MAX:
            line = stream.readline(RECEIVED_MAX)
            if not line:
                break
            answer += line
        if not answer.startswith(b"HTTP/1.1 101 ") or _ACCEPT not in answer:
            raise UnavailableError(f"{name} answers the handshake by {answer[:80]!r}")
        sent = case.message.encode()
        mask = b"\x2a\x00\xff\x17"
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(sent))
        connection.sendall(bytes([_FIN_TEXT, _MASKED | len(sent)]) + mask + masked)
        first, length = stream.read(2)
        wrong = case.wrong(stream.read(length))
        if first != _FIN_TEXT or wrong:
            raise UnavailableError(f"{name} {wrong or f'sends a frame {first:#x}'}")


def events(name: str, case: Case, port: int, path: str) -> None:
    """A subscription and an event that comes to it; UnavailableError says what is wrong. Events
    are published until one comes: a server may subscribe after its head, or send that with it."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        connection.settimeout(EVENT_S)
        came, until = b"", time.monotonic() + TIMEOUT_S
        while (found := re.search(rb"\ndata: ?([^\r\n]*)\r?\n\r?\n", came)) is None:
            if time.monotonic() > until or len(came) > RECEIVED_MAX:
                raise UnavailableError(f"{name} sends no event, but {came[:80]!r}")
            _publish(name, case, port)
            try:
                came += connection.recv(RECEIVED_MAX)
            except TimeoutError:
                continue
    wrong = case.wrong(found[1])
    if wrong or b"text/event-stream" not in came.partition(b"\r\n\r\n")[0]:
        raise UnavailableError(f"{name} {wrong or 'sends no text/event-stream'}")


def _publish(name: str, case: Case, port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", case.publish + case.message, b"")
        status = connection.getresponse().status
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise UnavailableError(f"{name} answers {status} to what is published")


PROBES: dict[str, Callable[[str, Case, int, str], None]] = {
    "requests": requests,
    "websocket": websocket,
    "events": events,
}
"""By the kind of a case's load."""
