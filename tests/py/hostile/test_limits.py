"""Limits that take time, or more than one connection: each with a value small enough for a test.

docs/limits.md names these tests.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostile_client import GOOD, PATIENCE, Client, ServerProcess, server

# Long enough for a client that does not mean to be late, on a busy machine too.
HEAD_MSEC = 500
IDLE_MSEC = 600
KEEP_ALIVE_MSEC = 500

BODY = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


def is_trickle_stopped(client: Client, byte: bytes, pause: float) -> bool:
    """Sends a byte now and then until the server has had enough, or never has."""
    begin = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while client.is_quiet(pause):
            if time.monotonic() > begin + PATIENCE:
                return False
            client.send(byte)
    return True


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


# --- deadlines: slow clients


@pytest.fixture(scope="module")
def hasty() -> Iterator[ServerProcess]:
    limits = {
        "head_timeout_msec": HEAD_MSEC,
        "body_idle_msec": IDLE_MSEC,
        "keep_alive_msec": KEEP_ALIVE_MSEC,
        "write_idle_msec": IDLE_MSEC,
        "body_floor_per_s": 5000,
    }
    with server(limits=limits) as process:
        yield process


@pytest.mark.parametrize(
    "start",
    [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nX-A: ", GOOD[:-2]],
    ids=["line", "fields", "value", "last line"],
)
def test_head_that_does_not_end(hasty: ServerProcess, start: bytes) -> None:
    before = hasty.look()
    with hasty.connect() as client:
        client.send(start)
        answer = client.answer()
        assert answer.status == 408
        assert answer.closes
        assert client.ends()
    after = hasty.look()
    assert after["timeouts"] == before["timeouts"] + 1
    assert after["faults"] == before["faults"] + 1


def test_slowloris(hasty: ServerProcess) -> None:
    """A byte now and then does not move the deadline of the head."""
    with hasty.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nX-A: ")
        assert is_trickle_stopped(client, b"a", 0.03)
        assert client.answer().status == 408


def test_second_head_has_the_same_deadline(hasty: ServerProcess) -> None:
    with hasty.connect() as client:
        assert client.is_kept()
        client.send(b"GET / HT")
        assert client.answer().status == 408


@pytest.mark.parametrize("start", [BODY, BODY + b"hello", CHUNKED, CHUNKED + b"5\r\nhel"])
def test_body_that_does_not_come(hasty: ServerProcess, start: bytes) -> None:
    before = hasty.look()
    with hasty.connect() as client:
        client.send(start)
        answer = client.answer()
        assert answer.status == 408
        assert answer.closes
        assert client.ends()
    assert hasty.look()["timeouts"] == before["timeouts"] + 1


@pytest.mark.parametrize(("start", "byte"), [(BODY, b"x"), (CHUNKED, b"1\r\nx\r\n")])
def test_body_that_trickles(hasty: ServerProcess, start: bytes, byte: bytes) -> None:
    """Each byte comes long before the idle time, but the average is below the floor."""
    with hasty.connect() as client:
        client.send(start)
        assert is_trickle_stopped(client, byte, 0.02)
        assert client.answer().status == 408


def test_body_above_the_floor(hasty: ServerProcess) -> None:
    with hasty.connect() as client:
        client.send(BODY)
        for _ in range(10):
            client.send(b"x" * 5000)
            time.sleep(0.05)
        assert client.answer().body == b"POST 50000 "


def test_idle_connection(hasty: ServerProcess) -> None:
    """Closed without a word: there is no request to answer."""
    before = hasty.look()
    begin = time.monotonic()
    with hasty.connect() as client:
        assert client.ends()
    assert time.monotonic() - begin >= KEEP_ALIVE_MSEC / 1000 - 0.02
    with hasty.connect() as client:
        assert client.is_kept()
        assert client.ends()
    after = hasty.look()
    assert after["timeouts"] == before["timeouts"] + 2
    assert after["faults"] == before["faults"]


def test_client_that_does_not_read(hasty: ServerProcess) -> None:
    before = hasty.look()
    with hasty.connect(receive_buffer=4096) as client:
        client.send(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
        assert eventually(lambda: hasty.look()["timeouts"] > before["timeouts"])
        assert eventually(lambda: hasty.look()["connections"] == 0)
        with pytest.raises((EOFError, ConnectionResetError)):
            client.answer()


@pytest.fixture(scope="module")
def paced() -> Iterator[ServerProcess]:
    """20,000 bytes must be read in each second."""
    with server(limits={"write_idle_msec": 1000, "write_floor_per_s": 20_000}) as process:
        yield process


def test_client_that_reads_a_trickle(paced: ServerProcess) -> None:
    before = paced.look()
    with paced.connect(receive_buffer=4096) as client:
        client.send(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
        end = time.monotonic() + PATIENCE
        # Reset, so that the kernel does not go on with what it has: megabytes.
        with pytest.raises(ConnectionResetError):  # noqa: PT012
            while time.monotonic() < end:
                client.sock.recv(50)
                time.sleep(0.01)
        after = paced.look()
        assert after["timeouts"] == before["timeouts"] + 1
        assert after["connections"] == 0


def test_client_that_reads_slowly_but_steadily(paced: ServerProcess) -> None:
    """For longer than the kernel takes to ask the server for more: its buffer holds megabytes."""
    before = paced.look()["timeouts"]
    with paced.connect(receive_buffer=65536) as client:
        client.send(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n" * 5 + GOOD)
        for _ in range(150):
            client.read_some(4000)
            time.sleep(0.02)
        assert [len(client.answer().body) for _ in range(5)] == [3_000_000] * 5
        assert client.answer().status == 200
    assert paced.look()["timeouts"] == before


# --- counts


def test_requests_per_connection() -> None:
    with server(limits={"requests_max": 3}) as process:
        with process.connect() as client:
            assert client.is_kept()
            assert client.is_kept()
            client.send(GOOD)
            answer = client.answer()
            assert answer.status == 200
            assert answer.closes
            assert client.ends()
        with process.connect() as client:  # pipelined: what is behind the last is not answered
            client.send(GOOD * 10)
            assert [client.answer().closes for _ in range(3)] == [False, False, True]
            assert client.ends()


def test_connections() -> None:
    with server(limits={"connections_max": 2}) as process:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(process.connect()) for _ in range(2)]
            assert all(client.is_kept() for client in clients)
            third = stack.enter_context(process.connect())
            third.send(GOOD)
            assert third.is_silent(0.2)
            clients[0].sock.close()
            assert third.answer().status == 200
        assert process.look()["accepted"] == 3


def test_pipelining_without_reading() -> None:
    """Answers that nobody reads are not made: 30 GB were asked for."""
    with server() as process:
        before = process.look()["rss"]
        with process.connect(receive_buffer=4096) as client:
            client.sock.settimeout(0.2)
            ask = b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n"
            with contextlib.suppress(TimeoutError):
                client.send(ask * 10_000)
            time.sleep(0.1)
            state = process.look()
            assert state["requests"] < 20
            assert state["rss"] - before < 32 << 20
        assert process.is_alive()


def test_many_small_pipelined_requests_do_not_wait() -> None:
    with server() as process, process.connect() as client:
        client.send(GOOD * 900)
        assert all(client.answer().status == 200 for _ in range(900))


# --- bodies


def test_too_long_body_is_refused_before_the_application() -> None:
    with server(limits={"body_max": 1000}) as process:
        for request in [
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n",
            CHUNKED + b"3e9\r\n" + b"x" * 1001,
        ]:
            with process.connect() as client:
                client.send(request)
                answer = client.answer()
                assert answer.status == 413
                assert answer.closes
                assert "x-app" not in answer.fields
        assert process.look()["faults"] == 2


def test_413_reaches_a_client_that_sends_on() -> None:
    """RFC 9112, 9.6: no reset before the answer is read."""
    with server(limits={"body_max": 1000}) as process:
        for _ in range(5):
            with process.connect() as client:
                client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n")
                client.send(b"x" * 20_000_000)
                assert client.answer().status == 413
                assert client.ends()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Its static files answer a POST at its head."""
    root = tmp_path_factory.mktemp("static")
    (root / "a.txt").write_text("a")
    with server(root=str(root), limits={"head_timeout_msec": HEAD_MSEC}) as process:
        yield process


def refused(length: int, *, path: str = "/static/a.txt") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("length", [1, 100, 4000, 65536])
@pytest.mark.parametrize("apart", [False, True])
def test_short_body_of_a_refused_request_is_skipped(
    files: ServerProcess, length: int, apart: bool
) -> None:
    with files.connect() as client:
        for _ in range(3):
            body = b"GET / HTTP/1.1\r\n\r\n".ljust(length, b"x")[:length]
            client.send(refused(length) if apart else refused(length) + body)
            answer = client.answer()
            assert answer.status == 405
            assert not answer.closes
            if apart:
                client.send(body)
            assert client.is_kept()


def test_long_body_of_a_refused_request_ends_the_connection(files: ServerProcess) -> None:
    with files.connect() as client:
        client.send(refused(65537) + b"x" * 65537 + GOOD)
        answer = client.answer()
        assert answer.status == 405
        assert answer.closes
        assert client.ends()


def test_skipped_body_that_does_not_come(files: ServerProcess) -> None:
    before = files.look()
    with files.connect() as client:
        client.send(refused(1000))
        assert client.answer().status == 405
        assert is_trickle_stopped(client, b"x", 0.02)
        assert client.ends()
    after = files.look()
    assert after["timeouts"] == before["timeouts"] + 1
    assert after["requests"] == before["requests"] + 1


def test_large_body_goes_to_a_file() -> None:
    with server(limits={"spool_min": 10_000, "body_max": 50_000_000}) as process:
        with process.connect() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 30000000\r\n\r\n")
            client.send(b"x" * 30_000_000)
            assert client.answer().body == b"POST 30000000 "
        assert process.is_alive()


# --- heads


@pytest.mark.parametrize(
    ("limits", "head", "status"),
    [
        ({"line_max": 100}, b"GET /" + b"a" * 100 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        ({"head_max": 200}, b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 200 + b"\r\n\r\n", 431),
        ({"fields_max": 2}, b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n", 431),
        ({"allow_underscore": 1}, b"GET / HTTP/1.1\r\nHost: h\r\nX_A: b\r\n\r\n", 200),
    ],
)
def test_head_limits_are_settable(limits: dict[str, int], head: bytes, status: int) -> None:
    with server(limits=limits) as process, process.connect() as client:
        client.send(head)
        assert client.answer().status == status


def test_unknown_limit_is_an_error() -> None:
    with pytest.raises(AssertionError, match="the server has ended"):
        ServerProcess(limits={"no_such_limit": 1})


# --- memory


def test_memory_is_shed() -> None:
    """At 92.5 % of the limit: 503 with Retry-After, the application is not asked."""
    with server(limits={"memory_max": 925}) as process, process.connect() as client:
        client.send(GOOD)
        answer = client.answer()
        assert answer.status == 503
        assert answer.fields["retry-after"] == "1"
        assert "x-app" not in answer.fields
        assert not answer.closes
        assert process.look()["shed"] == 1


def test_shed_requests_are_logged(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with server(limits={"memory_max": 925}, log=str(log)) as process:
        with process.connect() as client:
            client.send(GOOD)
            assert client.answer().status == 503
        process.look()
        assert re.search(r" GET /alive 503 0 B 0\.0 ms$", log.read_text())


def test_no_connections_without_memory() -> None:
    """Past 95 % nobody new is let in."""
    with server(limits={"memory_max": 2000}) as process, process.connect() as client:
        client.send(GOOD)
        assert client.is_silent(0.3)
        assert process.look()["accepted"] == 0


# --- draining


def test_drain() -> None:
    with server() as process:
        idle, busy, late = (process.connect() for _ in range(3))
        with idle, busy, late:
            assert idle.is_kept()
            assert late.is_kept()
            late.send(GOOD[:10])
            busy.send(b"GET /held HTTP/1.1\r\nHost: h\r\n\r\n" + GOOD)
            assert eventually(lambda: process.look()["in_flight"] == 1)
            process.drain()
            assert idle.ends()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", process.port), timeout=PATIENCE)
            late.send(GOOD[10:])
            for client in (late, busy):
                if client is busy:
                    process.go_on()
                answer = client.answer()
                assert answer.status == 200
                assert answer.closes
                assert client.ends()
        assert process.wait() == 0
