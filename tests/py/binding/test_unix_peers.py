"""Peers of a Unix socket: they have no address, and are trusted where the policy says so."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from wire import WAIT_SECONDS, Answer, LiveServer, Reply

from quintette import _quintette


def _view(request: Any) -> Reply:
    return Reply(f"{request.client} {request.scheme} {request.field('x-forwarded-for')}".encode())


@pytest.mark.parametrize(
    ("local", "forwarded", "seen"),
    [
        (True, "192.0.2.7:80", "('192.0.2.7', 80) https 192.0.2.7:80"),
        (
            True,
            "6.6.6.6, 192.0.2.7, 10.0.0.1",
            "('192.0.2.7', 0) https 6.6.6.6, 192.0.2.7, 10.0.0.1",
        ),
        (True, "unknown", "None https unknown"),
        (False, "192.0.2.7", "None http None"),
    ],
)
def test_unix_socket(tmp_path: Path, local: bool, forwarded: str, seen: str) -> None:
    proxies = _quintette.Proxies(("10.0.0.0/8",), local, 0, (), False)
    path = str(tmp_path / "socket")
    with (
        LiveServer(django_sync=_view) as live,
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as client,
    ):
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        live.call(lambda: live.server.trust(proxies))
        live.call(lambda: live.server.accept_on(listener.fileno()))
        client.settimeout(WAIT_SECONDS)
        client.connect(path)
        fields = f"X-Forwarded-For: {forwarded}\r\nX-Forwarded-Proto: https\r\n"
        client.sendall(f"GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode())
        assert Answer.read(client, "GET").body == seen.encode()
