"""The load generator for fixed rates, against small servers of which all is known."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

REQUEST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n"
)
CLOSE = b"HTTP/1.1 204 No Content\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
ERROR = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def program(load_programs: Path) -> Path:
    return load_programs / "openloop"


@contextmanager
def serving(answer: bytes, before: Callable[[int], None] = lambda number: None) -> Iterator[int]:
    """A server of one thread, so that a pause in one request stops them all."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve() -> None:
        number = 0
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while received(connection):
                    before(number)
                    number += 1
                    connection.sendall(answer)
                    if answer is CLOSE:
                        break

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=60)


def received(connection: socket.socket) -> bool:
    got = b""
    while len(got) < len(REQUEST):
        piece = connection.recv(len(REQUEST) - len(got))
        if not piece:
            return False
        got += piece
    assert got == REQUEST
    return True


def measured(program: Path, tmp_path: Path, port: int, rate: int, seconds: float) -> Any:
    request = tmp_path / "request"
    request.write_bytes(REQUEST)
    command = [str(program), str(port), "1", str(rate), str(seconds), str(request)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, CLOSE], ids=["length", "chunks", "close"])
def test_all_that_was_due_is_answered(program: Path, tmp_path: Path, answer: bytes) -> None:
    with serving(answer) as port:
        came = measured(program, tmp_path, port, 200, 0.5)
    assert came["requests"] == 100
    assert (came["failed"], came["unanswered"], came["unsent"]) == (0, 0, 0)
    assert 0 < came["p50_ms"] <= came["p99_ms"] <= came["max_ms"]


def test_an_error_is_no_answer(program: Path, tmp_path: Path) -> None:
    with serving(ERROR) as port:
        came = measured(program, tmp_path, port, 100, 0.5)
    assert (came["requests"], came["failed"]) == (0, 50)


def test_a_stall_counts_for_every_request_that_was_due_in_it(program: Path, tmp_path: Path) -> None:
    """A closed loop would have one slow answer in hundreds, and a p99 that knows nothing of it."""

    def pause(number: int) -> None:
        if number == 50:
            time.sleep(0.5)

    with serving(PLAIN, pause) as port:
        came = measured(program, tmp_path, port, 400, 1.5)
    assert came["requests"] == 600
    assert came["p99_ms"] > 400
    assert came["max_ms"] >= 500


def test_what_is_due_before_the_end_is_sent_after_it(program: Path, tmp_path: Path) -> None:
    def pause(number: int) -> None:
        if number == 50:
            time.sleep(0.5)

    with serving(PLAIN, pause) as port:
        came = measured(program, tmp_path, port, 400, 0.5)
    assert (came["requests"], came["unsent"]) == (200, 0)
    assert came["late"] > 100
