"""The relay that puts a database further away: how late, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from bench.accounting import cpu_ns

TIMEOUT_S = 60.0
PAIRS_MAX = 256  # as in delay.c
LATE_S = 0.05
BLOCK = bytes(range(256)) * 256

pytestmark = pytest.mark.slow


@dataclass
class Relay:
    process: subprocess.Popen[bytes]
    path: Path
    server: socket.socket
    server_path: Path

    def client(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(TIMEOUT_S)
        client.connect(str(self.path))
        return client

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """A client, and the server's end of its connection."""
        client = self.client()
        accepted, _ = self.server.accept()
        accepted.settimeout(TIMEOUT_S)
        return client, accepted

    def listens(self) -> bool:
        """Its path is there a moment before it does."""
        lines = Path("/proc/net/unix").read_text().splitlines()[1:]
        accepting = (line for line in lines if line.split()[3] == "00010000")
        return any(line.endswith(f" {self.path}") for line in accepting)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def comes_to(self, right: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + TIMEOUT_S
        while not right() and time.monotonic() < deadline:
            time.sleep(0.01)
        return right()


@contextmanager
def relaying(program: Path, folder: Path, delay_ms: float) -> Iterator[Relay]:
    path, server_path = folder / "near", folder / "far"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(server_path))
        server.listen(1024)
        server.settimeout(TIMEOUT_S)
        process = subprocess.Popen([str(program), str(delay_ms), str(path), str(server_path)])
        relay = Relay(process, path, server, server_path)
        try:
            assert relay.comes_to(relay.listens)
            yield relay
        finally:
            process.terminate()
            assert process.wait(timeout=TIMEOUT_S) == 0
            path.unlink(missing_ok=True)


def received(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (piece := connection.recv(count - len(got))):
        got += piece
    return got


def until_the_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def has_come(connection: socket.socket, count: int) -> bool:
    """Without reading: who reads tells the sender that there is room."""
    return fcntl.ioctl(connection, termios.FIONREAD, bytes(4)) == count.to_bytes(4, sys.byteorder)


def echo(connection: socket.socket) -> None:
    while got := connection.recv(65536):
        connection.sendall(got)


@pytest.mark.parametrize("delay_ms", [0, 0.5, 2, 20])
def test_a_round_trip_is_never_shorter_and_hardly_longer(
    delay_program: Path, tmp_path: Path, delay_ms: float
) -> None:
    with relaying(delay_program, tmp_path, delay_ms) as relay:
        client, server = relay.pair()
        with client, server:
            thread = threading.Thread(target=echo, args=(server,))
            thread.start()
            took = []
            for number in range(50):
                started = time.perf_counter()
                client.sendall(b"%d" % number)
                assert received(client, len(b"%d" % number)) == b"%d" % number
                took.append(1000 * (time.perf_counter() - started))
            client.shutdown(socket.SHUT_WR)
            thread.join(timeout=TIMEOUT_S)
    assert min(took) >= delay_ms
    # The quickest of fifty: a busy machine makes some late, a relay that is late all of them.
    assert min(took) < delay_ms + 2


def test_what_the_server_says_is_not_delayed(delay_program: Path, tmp_path: Path) -> None:
    with relaying(delay_program, tmp_path, 10_000) as relay:
        client, server = relay.pair()
        with client, server:
            started = time.monotonic()
            server.sendall(b"hello")
            server.shutdown(socket.SHUT_WR)
            assert until_the_end(client) == b"hello"
            assert time.monotonic() - started < 10


def test_pieces_are_on_their_way_together(delay_program: Path, tmp_path: Path) -> None:
    """Twenty in a fifth of a second, each late by as much as the first."""
    with relaying(delay_program, tmp_path, 300) as relay:
        client, server = relay.pair()
        with client, server:
            sent = []

            def send() -> None:
                for number in range(20):
                    sent.append(time.monotonic())
                    client.sendall(bytes([number]))
                    time.sleep(0.01)

            thread = threading.Thread(target=send)
            thread.start()
            late = []
            for number in range(20):
                assert server.recv(1) == bytes([number])
                late.append(time.monotonic() - sent[number])
            thread.join(timeout=TIMEOUT_S)
    assert min(late) >= 0.3
    # Were they one behind another, the tenth would be late by three seconds.
    assert min(late[10:]) < 0.3 + LATE_S


def test_more_pieces_than_a_queue_counts_are_kept_too(delay_program: Path, tmp_path: Path) -> None:
    with relaying(delay_program, tmp_path, 300) as relay:
        client, server = relay.pair()
        with client, server:
            whole = bytes(number % 251 for number in range(600))
            for number in range(len(whole)):
                client.sendall(whole[number : number + 1])
                time.sleep(0.0001)
            client.shutdown(socket.SHUT_WR)
            assert until_the_end(server) == whole


@pytest.mark.parametrize("delay_ms", [0, 2])
def test_what_came_all_at_once_is_fetched_queue_by_queue(
    delay_program: Path, tmp_path: Path, delay_ms: float
) -> None:
    """The kernel tells of it once: nothing comes after it."""
    with relaying(delay_program, tmp_path, delay_ms) as relay:
        client, server = relay.pair()
        with client, server:
            for sender, receiver in ((client, server), (server, client)):
                relay.process.send_signal(signal.SIGSTOP)
                sender.sendall(BLOCK * 2)
                relay.process.send_signal(signal.SIGCONT)
                assert relay.comes_to(partial(has_come, receiver, 2 * len(BLOCK)))
                assert received(receiver, 2 * len(BLOCK)) == BLOCK * 2


def test_a_stream_without_end_leaves_others_their_turn(delay_program: Path, tmp_path: Path) -> None:
    with relaying(delay_program, tmp_path, 2) as relay:
        client, server = relay.pair()
        other, other_server = relay.pair()
        gone = threading.Event()

        def stream() -> None:
            with contextlib.suppress(OSError):
                while not gone.is_set():
                    server.sendall(BLOCK)

        def drain() -> None:
            while client.recv(len(BLOCK)):
                pass

        threads = [threading.Thread(target=each) for each in (stream, drain)]
        with client, server, other, other_server:
            for thread in threads:
                thread.start()
            took = []
            for number in range(200):
                started = time.monotonic()
                other.sendall(bytes([number]))
                assert other_server.recv(1) == bytes([number])
                took.append(time.monotonic() - started)
            gone.set()
            threads[0].join(timeout=TIMEOUT_S)
            server.close()
            threads[1].join(timeout=TIMEOUT_S)
    # Most of them, or one in four where the machine has other things to do.
    assert sorted(took)[len(took) // 4] < LATE_S


async def _chatter(path: Path, seed: int) -> bool:
    """More than a queue holds, in pieces of any size, while the answers come in pieces too."""
    dice = random.Random(seed)
    whole = dice.randbytes(dice.randint(1, 400_000))
    reader, writer = await asyncio.open_unix_connection(str(path))

    async def send() -> None:
        at = 0
        while at < len(whole):
            size = dice.choice((1, 7, 200, 5_000, 90_000))
            writer.write(whole[at : at + size])
            at += size
            await writer.drain()
        writer.write_eof()

    _, back = await asyncio.gather(send(), reader.read(-1))
    writer.close()
    return back == whole


@pytest.mark.parametrize("delay_ms", [0, 2])
def test_order_and_bytes_are_kept_with_many_connections(
    delay_program: Path, tmp_path: Path, delay_ms: float
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while got := await reader.read(10_000):
            writer.write(got)
            await writer.drain()
        writer.close()

    async def load(relay: Relay) -> list[bool]:
        async with await asyncio.start_unix_server(echo, sock=relay.server.dup()):
            return await asyncio.gather(*(_chatter(relay.path, seed) for seed in range(100)))

    with relaying(delay_program, tmp_path, delay_ms) as relay:
        before = relay.descriptors()
        assert asyncio.run(asyncio.wait_for(load(relay), 3 * TIMEOUT_S)) == [True] * 100
        assert relay.comes_to(lambda: relay.descriptors() == before)


@pytest.mark.parametrize("from_the_client", [True, False])
def test_a_full_queue_reads_no_more_and_loses_nothing(
    delay_program: Path, tmp_path: Path, from_the_client: bool
) -> None:
    with relaying(delay_program, tmp_path, 1) as relay:
        client, server = relay.pair()
        with client, server:
            sender, receiver = (client, server) if from_the_client else (server, client)
            sender.setblocking(False)
            sent = 0
            while select.select([], [sender], [], 0.3)[1]:
                with contextlib.suppress(BlockingIOError):
                    sent += sender.send(BLOCK[sent % 256 :])
                assert sent < 8_000_000
            before = cpu_ns([relay.process.pid])
            time.sleep(0.3)
            assert cpu_ns([relay.process.pid]) - before < 50_000_000
            sender.shutdown(socket.SHUT_WR)
            got = until_the_end(receiver)
    assert len(got) == sent
    assert got == (BLOCK * (sent // len(BLOCK) + 1))[:sent]


def test_the_last_words_of_a_client_that_has_gone_arrive_and_so_does_its_end(
    delay_program: Path, tmp_path: Path
) -> None:
    with relaying(delay_program, tmp_path, 100) as relay:
        client, server = relay.pair()
        with server:
            started = time.monotonic()
            client.sendall(b"goodbye")
            client.close()
            assert until_the_end(server) == b"goodbye"
            assert time.monotonic() - started >= 0.1


def test_clients_that_go_away_leave_nothing_behind(delay_program: Path, tmp_path: Path) -> None:
    with relaying(delay_program, tmp_path, 5) as relay:
        before = relay.descriptors()
        for number in range(100):
            client, server = relay.pair()
            with client, server:
                if number % 2:
                    client.sendall(b"question")
                # An answer that nobody reads makes a reset of the client's end.
                server.sendall(BLOCK * (number % 3))
        client, server = relay.pair()
        with client, server:
            client.sendall(b"still there?")
            assert received(server, 12) == b"still there?"
        assert relay.comes_to(lambda: relay.descriptors() == before)


def test_a_client_that_reads_no_more_stops_the_server(delay_program: Path, tmp_path: Path) -> None:
    with relaying(delay_program, tmp_path, 1) as relay:
        client, server = relay.pair()
        with client, server:
            client.shutdown(socket.SHUT_RD)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                server.sendall(BLOCK * 1000)
            client.sendall(b"but it writes")
            assert received(server, 13) == b"but it writes"


def test_a_server_that_goes_away_ends_its_client_alone(delay_program: Path, tmp_path: Path) -> None:
    with relaying(delay_program, tmp_path, 1) as relay:
        client, server = relay.pair()
        other, other_server = relay.pair()
        with client, other, other_server:
            server.sendall(b"enough")
            server.close()
            assert until_the_end(client) == b"enough"
            other.sendall(b"x")
            assert other_server.recv(1) == b"x"


def test_without_a_server_clients_are_turned_away(delay_program: Path, tmp_path: Path) -> None:
    with relaying(delay_program, tmp_path, 1) as relay:
        relay.server_path.rename(tmp_path / "elsewhere")
        with relay.client() as client:
            assert until_the_end(client) == b""
        (tmp_path / "elsewhere").rename(relay.server_path)
        client, server = relay.pair()
        with client, server:
            client.sendall(b"x")
            assert server.recv(1) == b"x"


def test_clients_beyond_the_limit_wait_for_others_to_go(
    delay_program: Path, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack, relaying(delay_program, tmp_path, 1) as relay:
        clients = [stack.enter_context(relay.client()) for _ in range(PAIRS_MAX + 10)]
        servers = [stack.enter_context(relay.server.accept()[0]) for _ in range(PAIRS_MAX)]
        relay.server.settimeout(0.3)
        with pytest.raises(TimeoutError):
            relay.server.accept()
        relay.server.settimeout(TIMEOUT_S)
        for number in range(10):
            clients[number].close()
            servers[number].close()
            stack.enter_context(relay.server.accept()[0])


def test_it_costs_nothing_while_nothing_happens(delay_program: Path, tmp_path: Path) -> None:
    with relaying(delay_program, tmp_path, 2) as relay:
        client, server = relay.pair()
        with client, server:
            client.sendall(b"x")
            assert server.recv(1) == b"x"
            before = cpu_ns([relay.process.pid])
            time.sleep(0.5)
            assert cpu_ns([relay.process.pid]) - before < 5_000_000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_what_is_on_its_way_and_takes_its_socket_along(
    delay_program: Path, tmp_path: Path, number: int
) -> None:
    with relaying(delay_program, tmp_path, 9000) as relay:
        client, server = relay.pair()
        with client, server:
            client.sendall(b"never to arrive")
            time.sleep(0.05)
            relay.process.send_signal(number)
            assert relay.process.wait(timeout=TIMEOUT_S) == 0
            assert not relay.path.exists()
            assert until_the_end(server) == b""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["2", "near"],
        ["2", "near", "far", "more"],
        ["-1", "near", "far"],
        ["nan", "near", "far"],
        ["2ms", "near", "far"],
        ["", "near", "far"],
        ["10001", "near", "far"],
        ["2", "", "far"],
        ["2", "near", "f" * 108],
    ],
)
def test_what_it_does_not_understand_it_does_not_do(
    delay_program: Path, tmp_path: Path, arguments: list[str]
) -> None:
    done = subprocess.run(
        [str(delay_program), *arguments],
        capture_output=True,
        cwd=tmp_path,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_says_how_it_is_used(delay_program: Path) -> None:
    done = subprocess.run([str(delay_program), "--help"], capture_output=True, check=True)
    assert done.stdout.startswith(b"usage: delay DELAY_MS LISTEN_PATH SERVER_PATH\n")


def test_a_socket_of_another_is_left_alone(delay_program: Path, tmp_path: Path) -> None:
    with relaying(delay_program, tmp_path, 1) as relay:
        command = [str(delay_program), "1", str(relay.path), str(relay.server_path)]
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 1
        assert b"Address already in use" in done.stderr
        client, server = relay.pair()
        client.close()
        server.close()
