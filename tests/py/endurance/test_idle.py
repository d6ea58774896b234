"""Thousands of connections that do nothing."""

from __future__ import annotations

import re
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from endurance_server import EnduranceServer, cannot_measure, eventually, kernel_socket_bytes

pytestmark = pytest.mark.skipif(bool(cannot_measure()), reason=cannot_measure())

MIB = 1 << 20
GET = b"GET /api/async/7 HTTP/1.1\r\nHost: h\r\n\r\n"
BODY = b'{"name":"item 7","tags":["a","b"]}'
BATCH = 100
# A connection (360), its socket's part (136), what malloc adds, and then some.
BYTES_PER_CONNECTION = 800
# What is kept for reuse, however many connections there are.
FIXED_BYTES = 2 * MIB


def allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            pytest.skip(f"{count} files must be allowed; ulimit -Hn says {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def ask(clients: list[socket.socket]) -> None:
    """One request each; a batch is under way at a time."""
    for start in range(0, len(clients), BATCH):
        batch = clients[start : start + BATCH]
        for client in batch:
            client.sendall(GET)
        for client in batch:
            answer = client.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(BODY)


def connect(port: int, number: int) -> socket.socket:
    """From one of several addresses, each of which has the ports of its own."""
    client = socket.socket()
    client.settimeout(30)
    client.bind((f"127.0.0.{2 + number % 4}", 0))
    client.connect(("127.0.0.1", port))
    return client


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.endurance)])
def test_idle_connections(tmp_path: Path, count: int) -> None:
    allow_files(count + 200)
    with ExitStack() as stack:
        server = stack.enter_context(EnduranceServer(tmp_path, KEEP_ALIVE_SECONDS=600))
        # What the first requests set up stays.
        first = [stack.enter_context(connect(server.port, n)) for n in range(BATCH)]
        ask(first)
        for client in first:
            client.close()
        before, kernel = server.pss(), kernel_socket_bytes()
        clients: list[socket.socket] = []
        for number in range(count):
            clients.append(stack.enter_context(connect(server.port, number)))
            if len(clients) % BATCH == 0:
                ask(clients[-BATCH:])
        pss, rss = server.pss(), server.rss_of_all()
        each = (pss - before) / count
        print(
            f"\n{count} idle connections: PSS {pss / MIB:.1f} MiB (before: {before / MIB:.1f}), "
            f"RSS of both processes {rss / MIB:.1f} MiB, {each:.0f} bytes per connection; "
            f"sockets in the kernel, both ends: {(kernel_socket_bytes() - kernel) / MIB:.1f} MiB"
        )
        assert pss - before < FIXED_BYTES + count * BYTES_PER_CONNECTION
        assert pss < 100_000_000
        ask(clients)
        assert server.pss() - pss < MIB
        for client in clients:
            client.close()
        eventually(lambda: len(server.sockets()) < 20)
        assert server.stats()["connections"] == 1


def test_the_soft_limit_is_raised(tmp_path: Path) -> None:
    """A shell's 1,024 files are not in the way of 3,000 connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4000:
        pytest.skip(f"the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with EnduranceServer(tmp_path, CONNECTIONS_MAX=3000) as server:
            limit, _ = resource.prlimit(server.worker, resource.RLIMIT_NOFILE)
            assert 3000 < limit < 4000
            assert "may be open" not in server.errors()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_low_hard_limit_lowers_connections_max(tmp_path: Path) -> None:
    """Those that are too many wait; what the project's code opens has room."""
    with ExitStack() as stack:
        server = stack.enter_context(
            EnduranceServer(tmp_path, THREADS=2, prefix=["prlimit", "--nofile=200:200"])
        )
        found = re.search(r"CONNECTIONS_MAX is (\d+) instead of 10000", server.errors())
        assert found
        room = int(found[1])
        assert 100 <= room < 200
        clients = [stack.enter_context(connect(server.port, n)) for n in range(room)]
        ask(clients)
        late = stack.enter_context(connect(server.port, 0))
        late.sendall(GET)
        late.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.recv(1)
        clients[0].close()
        late.settimeout(30)
        assert late.recv(4096).endswith(BODY)
        assert "New connections have to wait" not in server.errors()


def test_out_of_descriptors(tmp_path: Path) -> None:
    """Something else has taken them: told once, connections wait, and are served in the end."""
    with ExitStack() as stack:
        server = stack.enter_context(EnduranceServer(tmp_path, THREADS=2))
        have = [stack.enter_context(connect(server.port, n)) for n in range(20)]
        ask(have)
        top = max(int(p.name) for p in Path(f"/proc/{server.worker}/fd").iterdir())
        old = resource.prlimit(server.worker, resource.RLIMIT_NOFILE)
        resource.prlimit(server.worker, resource.RLIMIT_NOFILE, (top + 1, old[1]))
        late = [stack.enter_context(connect(server.port, n)) for n in range(10)]
        for client in late:
            client.sendall(GET)
        eventually(lambda: "New connections have to wait" in server.errors())
        # Who is connected is served as ever.
        ask(have)
        for client in have[:10]:
            client.close()
        for client in late:
            assert client.recv(4096).endswith(BODY)
        ask(late + have[10:])
        resource.prlimit(server.worker, resource.RLIMIT_NOFILE, old)
        assert server.errors().count("New connections have to wait: Too many open files") == 1
        assert "Traceback" not in server.errors()
