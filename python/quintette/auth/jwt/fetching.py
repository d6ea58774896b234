"""Fetching a document by HTTP: from where it is, in bounded time, and of bounded size."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from ipaddress import ip_address
from typing import IO, Any
from urllib.parse import urlsplit

DOCUMENT_BYTES_MAX = 256 * 1024
READ_BYTES = 16 * 1024


def check_url(url: str) -> None:
    """``https``, or ``http`` from this machine. ValueError."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not _is_local(parts.hostname or ""):
        raise ValueError(f"{url}: keys are fetched by https, or by http from this machine")


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def fetch(url: str, timeout_seconds: float) -> bytes:
    """OSError, ValueError or HTTPException."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    pieces: list[bytes] = []
    size = 0
    with (
        _opener(timeout_seconds) as opener,
        opener.open(request, timeout=timeout_seconds) as response,
    ):
        while piece := response.read1(READ_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > DOCUMENT_BYTES_MAX:
                raise ValueError(f"more than {DOCUMENT_BYTES_MAX} bytes")
        left = response.length
    if left:
        raise ValueError("the document breaks off")
    return b"".join(pieces)


@contextmanager
def _opener(timeout_seconds: float) -> Iterator[urllib.request.OpenerDirector]:
    """urllib's timeout is that of one piece: a server that sends a byte now and then would hold its
    thread for days. When the time is up the connection is shut."""
    opened: list[Plain | Secure] = []
    over = threading.Event()

    def shut() -> None:
        over.set()
        for connection in opened:
            with suppress(OSError, AttributeError):  # not connected yet
                # urllib lets go of the connection's socket once there is a response.
                (connection.kept or connection.sock).shutdown(socket.SHUT_RDWR)

    def in_time() -> None:
        """For what was not connected yet when its time was up: nobody shuts it any more."""
        if over.is_set():
            raise TimeoutError("timed out")

    class Plain(http.client.HTTPConnection):
        kept: Any = None

        def connect(self) -> None:
            opened.append(self)
            super().connect()
            self.kept = self.sock
            in_time()

    class Secure(http.client.HTTPSConnection):
        kept: Any = None

        def connect(self) -> None:
            opened.append(self)
            super().connect()
            self.kept = self.sock
            in_time()

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Secure, req)

    timer = threading.Timer(timeout_seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield urllib.request.build_opener(PlainHandler, SecureHandler, _NoRedirect)
    finally:
        timer.cancel()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Where to is not for the other side to say: it might be an address of the inner network."""

    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None
