"""A client that sends any bytes and reads answers strictly, and the process it sends them to."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import quintette

HERE = Path(__file__).parent
# For what must happen, on however busy a machine.
PATIENCE = 60.0
GOOD = b"GET /alive HTTP/1.1\r\nHost: h\r\n\r\n"


class Answer:
    def __init__(self, status: int, fields: dict[str, str], body: bytes) -> None:
        self.status = status
        self.fields = fields
        self.body = body

    @property
    def closes(self) -> bool:
        return self.fields.get("connection") == "close"


class Client:
    """One connection."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(("127.0.0.1", port))
        self._data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_as_far_as_taken(self, data: bytes) -> None:
        """The server may answer and close before all was sent."""
        with contextlib.suppress(ConnectionError):
            self.sock.sendall(data)

    def answer(self, *, to_head: bool = False) -> Answer:
        head = self._until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        version, code, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in fields, f"{name} twice"
            fields[name.lower()] = value
        status = int(code)
        if to_head or status in {100, 204, 304}:
            return Answer(status, fields, b"")
        return Answer(status, fields, self._exactly(int(fields["content-length"])))

    def ends(self) -> bool:
        """Nothing more comes, and then the end."""
        if self._data:
            return False
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return False

    def is_silent(self, seconds: float = 0.05) -> bool:
        """Neither bytes nor the end."""
        self.sock.settimeout(seconds)
        try:
            return not self._data and self.sock.recv(1) is None
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(PATIENCE)

    def is_quiet(self, seconds: float) -> bool:
        """Nothing has come; what has is left to be read."""
        self.sock.settimeout(seconds)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(PATIENCE)
        return False

    def is_kept(self) -> bool:
        self.send(GOOD)
        return self.answer().status == 200

    def read_some(self, size: int) -> None:
        """Takes at most so many bytes from the connection; the next answer() begins with them."""
        self._more(size)

    def _more(self, size: int = 65536) -> None:
        data = self.sock.recv(size)
        if not data:
            raise EOFError(f"the answer is cut: {self._data!r}")
        self._data += data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            self._more()
        at = self._data.index(mark) + len(mark)
        head, self._data = self._data[:at], self._data[at:]
        return head

    def _exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            self._more()
        body, self._data = self._data[:size], self._data[size:]
        return body


class ServerProcess:
    """hostile_server.py with these options."""

    def __init__(self, **options: Any) -> None:
        # The package that this process has imported, be it the sanitized one.
        path = os.pathsep.join([str(Path(quintette.__file__).parents[1]), *sys.path])
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "hostile_server.py"), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in = self._process.stdin
        self._out = self._process.stdout
        self.port = int(self._line())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._in.close()
        try:
            code = self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._out.close()
        assert code == 0, f"the server ended with {code}"

    def connect(self, *, receive_buffer: int = 0) -> Client:
        return Client(self.port, receive_buffer=receive_buffer)

    def look(self) -> dict[str, int]:
        return self._command("look")

    def drain(self) -> dict[str, int]:
        return self._command("drain")

    def go_on(self) -> dict[str, int]:
        """Lets the requests for /held be answered."""
        return self._command("go on")

    def is_alive(self) -> bool:
        with self.connect() as client:
            return client.is_kept()

    def wait(self) -> int:
        return self._process.wait(PATIENCE)

    def _command(self, name: str) -> dict[str, int]:
        self._in.write(f"{name}\n")
        self._in.flush()
        state: dict[str, int] = json.loads(self._line())
        return state

    def _line(self) -> str:
        timer = threading.Timer(20, self._process.kill)
        timer.start()
        line = self._out.readline()
        timer.cancel()
        assert line, "the server has ended"
        return line


@contextlib.contextmanager
def server(**options: Any) -> Iterator[ServerProcess]:
    with ServerProcess(**options) as process:
        yield process
