"""Synchronous handlers in the pool's threads, and bodies in pieces from both kinds."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from wire import (
    GET,
    WAIT_SECONDS,
    Chunks,
    LiveServer,
    Reply,
    async_router,
    read_answers,
    rss_bytes,
    sanitized,
    until,
)

from quintette import _quintette

MIB = 1 << 20


def serve_async(view: Any, **options: Any) -> LiveServer:
    return LiveServer(router=async_router("/"), django_async=view, django_sync=view, **options)


# ---- plain requests


def test_thousands_of_requests_in_threads() -> None:
    connections, requests = 20, 200
    seen: set[str] = set()

    def view(request: Any) -> Reply:
        seen.add(threading.current_thread().name)
        return Reply(request.raw_path)

    with LiveServer(django_sync=view, threads=_quintette.ThreadPool(4)) as live:

        def client(number: int) -> None:
            with live.connect() as sock:
                answers = read_answers(sock)
                for n in range(requests):
                    path = f"/{number}/{n}"
                    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
                    assert next(answers).body == path.encode()
                counted.append(requests)

        counted: list[int] = []
        clients = [threading.Thread(target=client, args=(n,)) for n in range(connections)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join(WAIT_SECONDS)
        assert sum(counted) == connections * requests
        assert live.threads.stats()["threads"] <= 4
        assert live.in_flight == 0
        assert live.errors == []
    assert all(name.startswith("quintette-") for name in seen)


def test_pipelined_requests_are_answered_in_order() -> None:
    def view(request: Any) -> Reply:
        if request.path == "/0":
            time.sleep(0.05)
        return Reply(request.raw_path)

    with LiveServer(django_sync=view) as live, live.connect() as sock:
        sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % n for n in range(50)))
        answers = read_answers(sock)
        assert [next(answers).body for _ in range(50)] == [b"/%d" % n for n in range(50)]


@pytest.mark.parametrize("padding", [0, 1, 2, 3])
def test_more_pipelined_requests_than_are_read_at_once(padding: int) -> None:
    """A request that is cut by the end of a buffer is read on once a worker has answered the one
    before it."""
    paths = [f"/{n:03}{'x' * padding}" for n in range(400)]
    said = b"".join(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode() for path in paths)

    def view(request: Any) -> Reply:
        return Reply(request.raw_path)

    with LiveServer(django_sync=view) as live, live.connect() as sock:
        sock.sendall(said)
        answers = read_answers(sock)
        assert [next(answers).body.decode() for _ in paths] == paths


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("no"), GeneratorExit()])
def test_exceptions_in_threads(error: BaseException) -> None:
    def view(request: Any) -> Reply:
        raise error

    with LiveServer(django_sync=view) as live:
        answer = live.get()
        assert answer.status == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert b"no" not in answer.body
        assert live.errors == [error]
        assert live.get().status == 500


@pytest.mark.parametrize(
    "reply",
    [
        None,
        object(),
        Reply(b"", status=99),
        Reply(b"", status=600),
        Reply(b"", headers={"X": "a\r\nSet-Cookie: b"}),
        Reply(b"", headers={"a b": "c"}),
        Reply(b"", headers={"X": "\N{SNOWMAN}"}),
        Reply(5),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_response_is_a_500(reply: Any) -> None:
    with LiveServer(django_sync=lambda request: reply) as live:
        assert live.get().status == 500
        assert len(live.errors) == 1
        assert live.get().status == 500


def test_a_failing_close_is_reported() -> None:
    def fail() -> None:
        raise ValueError("close")

    with LiveServer(django_sync=lambda request: Reply(b"ok", on_close=fail)) as live:
        assert live.get().body == b"ok"
        until(lambda: live.errors)
        assert repr(live.errors[0]) == "ValueError('close')"


def test_a_failing_error_hook_does_no_harm() -> None:
    raised = []

    def on_error(error: BaseException, request: Any) -> None:
        raise KeyError("hook")

    def view(request: Any) -> Reply:
        raise ValueError("view")

    import sys

    before, sys.unraisablehook = sys.unraisablehook, lambda info: raised.append(info.exc_type)
    try:
        fd = _quintette.listen("127.0.0.1", 0)
        with LiveServer(django_sync=view) as live:
            server = live.call(lambda: _quintette.Server(
                live.loop._selector, threads=live.threads, django_sync=view, on_error=on_error
            ))  # fmt: skip
            live.call(lambda: server.accept_on(fd))
            with socket.socket(fileno=fd) as listener:
                with socket.create_connection(listener.getsockname(), 5) as sock:
                    sock.sendall(GET)
                    assert sock.recv(1000).startswith(b"HTTP/1.1 500")
                until(lambda: not server.stats()["connections"])
                live.call(server.close)
    finally:
        sys.unraisablehook = before
    assert raised == [KeyError, ValueError]


def test_views_run_in_the_context_the_server_was_made_in() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    def view(request: Any) -> Reply:
        before = variable.get()
        variable.set(before + 1)
        return Reply(b"%d" % before)

    with LiveServer(django_sync=view) as live:
        assert {live.get().body for _ in range(10)} == {b"0"}


def test_thread_locals_last() -> None:
    local = threading.local()

    def view(request: Any) -> Reply:
        local.count = getattr(local, "count", 0) + 1
        return Reply(b"%d" % local.count)

    with LiveServer(django_sync=view, threads=_quintette.ThreadPool(1)) as live:
        assert [live.get().body for _ in range(3)] == [b"1", b"2", b"3"]


# ---- the pool


def test_the_pool_grows_to_its_bound() -> None:
    gate = threading.Barrier(4)

    def view(request: Any) -> Reply:
        if request.path == "/all":
            gate.wait(WAIT_SECONDS)
        return Reply(b"")

    with LiveServer(django_sync=view, threads=_quintette.ThreadPool(4)) as live:
        for _ in range(20):
            assert live.get("/one").status == 200
        assert live.threads.stats()["threads"] <= 2
        socks = [live.connect() for _ in range(8)]
        for sock in socks:
            sock.sendall(b"GET /all HTTP/1.1\r\nHost: h\r\n\r\n")
        for sock in socks:
            assert next(read_answers(sock)).status == 200
            sock.close()
        assert live.threads.stats()["threads"] == 4


def test_one_thread_does_the_work_that_one_can_do() -> None:
    seen: list[int] = []

    def view(request: Any) -> Reply:
        seen.append(threading.get_ident())
        return Reply(b"")

    gate = threading.Barrier(5)

    def together(request: Any) -> Reply:
        if request.path == "/all":
            gate.wait(WAIT_SECONDS)
            return Reply(b"")
        return view(request)

    with LiveServer(django_sync=together, threads=_quintette.ThreadPool(5)) as live:
        socks = [live.connect() for _ in range(5)]
        for sock in socks:
            sock.sendall(b"GET /all HTTP/1.1\r\nHost: h\r\n\r\n")
        for sock in socks:
            assert next(read_answers(sock)).status == 200
            sock.close()
        until(lambda: live.threads.stats()["idle"] == 5)
        # Of five that could, the one that was idle last is taken again and again.
        for _ in range(50):
            assert live.get("/one").status == 200
            until(lambda: live.threads.stats()["idle"] == 5)
        assert len(set(seen)) == 1


def test_a_view_that_waits_lets_the_next_thread_in_at_once() -> None:
    release = threading.Event()
    inside: list[str] = []

    def view(request: Any) -> Reply:
        inside.append(request.path)
        assert release.wait(WAIT_SECONDS)
        return Reply(request.raw_path)

    with LiveServer(django_sync=view, threads=_quintette.ThreadPool(8)) as live:
        socks = [live.connect() for _ in range(8)]
        for n, sock in enumerate(socks):
            sock.sendall(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % n)
        until(lambda: len(inside) == 8)
        release.set()
        assert [next(read_answers(sock)).body for sock in socks] == [b"/%d" % n for n in range(8)]
        for sock in socks:
            sock.close()


def test_a_finished_response_does_not_wait_for_the_next_view() -> None:
    begun, first, release = threading.Event(), threading.Event(), threading.Event()

    def view(request: Any) -> Reply:
        if request.path == "/first":
            begun.set()
            assert first.wait(WAIT_SECONDS)
        elif request.path.startswith("/slow"):
            assert release.wait(WAIT_SECONDS)
        return Reply(request.raw_path)

    # One thread: it does /first and then, without a pause, what is queued behind it.
    with LiveServer(django_sync=view, threads=_quintette.ThreadPool(1)) as live:
        sockets = [live.connect() for _ in range(3)]
        for sock, path in zip(sockets, (b"/first", b"/slow1", b"/slow2"), strict=True):
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path)
            # A connection that is accepted late would be read before it.
            assert begun.wait(WAIT_SECONDS)
        until(lambda: live.threads.stats()["queued"] == 2)
        first.set()
        assert next(read_answers(sockets[0])).body == b"/first"
        assert not release.is_set()
        release.set()
        assert next(read_answers(sockets[1])).body == b"/slow1"
        assert next(read_answers(sockets[2])).body == b"/slow2"
        for sock in sockets:
            sock.close()


def test_a_line_is_logged_although_the_loop_sleeps(tmp_path: Any) -> None:
    log = tmp_path / "access.log"
    with (
        log.open("ab", buffering=0) as file,
        LiveServer(
            django_sync=lambda request: Reply(b"x"), access_log=1, access_log_fd=file.fileno()
        ) as live,
        live.connect() as sock,
    ):
        sock.sendall(GET)
        assert next(read_answers(sock)).body == b"x"
        until(lambda: log.read_bytes().count(b"\n") == 1)


def test_a_log_that_nobody_reads_holds_nothing_up() -> None:
    count = 2000
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with (
        LiveServer(
            django_sync=lambda request: Reply(b"x"),
            access_log=1,
            access_log_fd=writer,
            limits={"requests_max": count},
        ) as live,
        live.connect() as sock,
    ):
        answers = read_answers(sock)
        for _ in range(count):
            sock.sendall(GET)
            assert next(answers).body == b"x"
        log = b""

        def all_lines() -> bool:
            nonlocal log
            with suppress(BlockingIOError):
                log += os.read(reader, MIB)
            return log.count(b"\n") == count

        until(all_lines)
    os.close(reader)
    os.close(writer)


def test_slow_views_do_not_hold_the_loop() -> None:
    release = threading.Event()

    def slow(request: Any) -> Reply:
        release.wait(WAIT_SECONDS)
        return Reply(b"slow")

    async def quick(request: Any) -> Reply:
        return Reply(b"quick")

    with LiveServer(
        router=async_router("/quick"), django_async=quick, django_sync=slow,
        threads=_quintette.ThreadPool(1),
    ) as live, live.connect() as one, live.connect() as two:  # fmt: skip
        one.sendall(GET)
        two.sendall(GET)
        assert live.get("/quick").body == b"quick"
        until(lambda: live.threads.stats()["queued"] == 1)
        release.set()
        assert next(read_answers(one)).body == b"slow"
        assert next(read_answers(two)).body == b"slow"


def test_a_client_that_leaves_while_it_is_queued_costs_no_call() -> None:
    release = threading.Event()
    calls: list[str] = []

    def view(request: Any) -> Reply:
        calls.append(request.path)
        release.wait(WAIT_SECONDS)
        return Reply(b"")

    with LiveServer(django_sync=view, threads=_quintette.ThreadPool(1)) as live:
        with live.connect() as one:
            one.sendall(b"GET /one HTTP/1.1\r\nHost: h\r\n\r\n")
            until(lambda: calls)
            two = live.connect()
            two.sendall(b"GET /two HTTP/1.1\r\nHost: h\r\n\r\n")
            until(lambda: live.threads.stats()["queued"] == 1)
            two.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            two.close()
            until(lambda: live.server.stats()["connections"] == 1)
            release.set()
            assert next(read_answers(one)).status == 200
        until(lambda: live.in_flight == 0)
    assert calls == ["/one"]


def test_stop_works_off_what_is_queued() -> None:
    done: list[bytes] = []

    def view(request: Any) -> Reply:
        time.sleep(0.02)
        done.append(request.raw_path)
        return Reply(b"")

    pool = _quintette.ThreadPool(1)
    with LiveServer(django_sync=view, threads=pool) as live:
        socks = [live.connect() for _ in range(5)]
        for sock in socks:
            sock.sendall(GET)
        until(lambda: pool.stats()["queued"] == 4)
        assert pool.stop(20)
        assert len(done) == 5
        assert pool.stats() == {"threads": 0, "idle": 0, "queued": 0}
        for sock in socks:
            assert next(read_answers(sock)).status == 200
            sock.close()
        assert live.get().status == 500  # no thread will ever take it
        assert "stopped" in str(live.errors[-1])


@pytest.mark.parametrize("timeout", [0, -5, 0.05])
def test_stop_gives_up_in_time(timeout: float) -> None:
    release = threading.Event()
    pool = _quintette.ThreadPool(1)

    def view(request: Any) -> Reply:
        release.wait(WAIT_SECONDS)
        return Reply(b"")

    with LiveServer(django_sync=view, threads=pool) as live, live.connect() as sock:
        sock.sendall(GET)
        until(lambda: pool.stats()["threads"] == 1 and pool.stats()["idle"] == 0)
        begin = time.monotonic()
        assert not pool.stop(timeout)
        assert time.monotonic() - begin < 20  # milliseconds are not taken for seconds
        release.set()
        assert pool.stop(1e300)


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_pool_bounds(threads: int) -> None:
    with pytest.raises(ValueError, match="threads_max"):
        _quintette.ThreadPool(threads)


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with LiveServer(django_sync=lambda request: Reply(b"ok")) as live:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            assert live.get().status == 500
            assert "can't start" in str(live.errors[0])
            assert live.threads.stats() == {"threads": 0, "idle": 0, "queued": 0}
        assert live.get().status == 200


# ---- streams of threads


def test_a_stream_from_a_thread() -> None:
    def chunks() -> Iterator[Any]:
        yield b"one,"
        yield "zw\u00f6lf,"
        yield b""
        yield bytearray(b"three")

    with LiveServer(django_sync=lambda request: Chunks(chunks())) as live:
        assert live.get().body == "one,zw\u00f6lf,three".encode()
        answer = live.request("HEAD")
        assert answer.status == 200
        assert answer.headers["transfer-encoding"] == "chunked"
        assert live.errors == []


def test_a_stream_of_a_declared_length() -> None:
    def view(request: Any) -> Chunks:
        length = "6" if request.path == "/right" else "10"
        return Chunks([b"abc", b"def"], headers={"Content-Length": length})

    with LiveServer(django_sync=view) as live:
        assert live.get("/right").body == b"abcdef"
        with live.connect() as sock:
            sock.sendall(b"GET /short HTTP/1.1\r\nHost: h\r\n\r\n")
            with pytest.raises(EOFError):
                next(read_answers(sock))


def test_a_stream_that_fails_is_cut() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"begin"
        raise ValueError("half-way")

    with LiveServer(django_sync=lambda request: Chunks(chunks())) as live:
        with live.connect() as sock:
            sock.sendall(GET)
            with pytest.raises(EOFError):
                next(read_answers(sock))
        assert [repr(error) for error in live.errors] == ["ValueError('half-way')"]
        until(lambda: live.in_flight == 0)


def test_a_chunk_of_a_wrong_type_cuts_the_stream() -> None:
    with LiveServer(django_sync=lambda request: Chunks([object()])) as live:
        with live.connect() as sock:
            sock.sendall(GET)
            with pytest.raises(EOFError):
                next(read_answers(sock))
        assert [type(error) for error in live.errors] == [TypeError]


@pytest.mark.parametrize("size", [1, 100, 65536])
def test_a_slow_reader_holds_a_thread_back(size: int) -> None:
    produced = 0

    def chunks() -> Iterator[bytes]:
        nonlocal produced
        chunk = b"x" * size
        while produced < 64 * MIB // (1 if size > 1 else 64):
            produced += size
            yield chunk

    with LiveServer(django_sync=lambda request: Chunks(chunks())) as live:
        with live.connect(receive_buffer=65536) as sock:
            sock.sendall(GET)
            until(lambda: produced)
            before = -1
            memory = rss_bytes()
            while produced != before:  # it stands still
                before = produced
                time.sleep(0.1)
            assert 0 < produced < 8 * MIB
            assert sanitized() or rss_bytes() - memory < 32 * MIB
            total = len(next(read_answers(sock)).body)
            assert total == produced
        until(lambda: live.in_flight == 0)


def test_a_client_that_leaves_ends_the_iterator_in_its_thread() -> None:
    where: list[Any] = []
    closed: list[int] = []

    def chunks() -> Iterator[bytes]:
        where.append(threading.get_ident())
        try:
            while True:
                yield b"x" * 65536
        finally:
            where.append(threading.get_ident())

    def view(request: Any) -> Chunks:
        return Chunks(chunks(), on_close=lambda: closed.append(threading.get_ident()))

    with LiveServer(django_sync=view) as live:
        sock = live.connect()
        sock.sendall(GET)
        sock.recv(100_000)
        sock.close()
        until(lambda: live.in_flight == 0)
        assert len(where) == 2
        assert where[0] == where[1] == closed[0]
        assert len(closed) == 1
        assert live.errors == []


def test_a_client_that_leaves_while_the_iterator_is_waiting() -> None:
    """Noticed with the next chunk: nothing can interrupt a thread."""
    gate = threading.Event()
    ended = threading.Event()

    def chunks() -> Iterator[bytes]:
        try:
            yield b"first"
            gate.wait(WAIT_SECONDS)
            while True:
                yield b"more"
        finally:
            ended.set()

    with LiveServer(django_sync=lambda request: Chunks(chunks())) as live:
        sock = live.connect()
        sock.sendall(GET)
        sock.recv(1000)
        sock.close()
        time.sleep(0.05)
        gate.set()
        assert ended.wait(WAIT_SECONDS)
        until(lambda: live.in_flight == 0)


def test_abort_ends_streams() -> None:
    ended = threading.Event()

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            ended.set()

    with LiveServer(django_sync=lambda request: Chunks(chunks())) as live, live.connect() as sock:
        sock.sendall(GET)
        sock.recv(1000)
        live.call(live.server.abort)
        assert ended.wait(WAIT_SECONDS)
        until(lambda: live.in_flight == 0)


# ---- streams on the loop


def test_a_stream_on_the_loop() -> None:
    async def chunks() -> AsyncIterator[Any]:
        yield b"one,"
        await asyncio.sleep(0.001)
        yield "zw\u00f6lf"

    async def view(request: Any) -> Chunks:
        return Chunks(chunks())

    with serve_async(view) as live:
        for _ in range(3):
            assert live.get().body == "one,zw\u00f6lf".encode()
        assert live.request("HEAD").status == 200
        assert live.errors == []


def test_a_view_that_waited_may_stream() -> None:
    """Its last step runs inside its own context, which the stream's task cannot enter again."""
    variable: contextvars.ContextVar[bytes] = contextvars.ContextVar("variable", default=b"unset")

    async def chunks() -> AsyncIterator[bytes]:
        yield variable.get()
        await asyncio.sleep(0)
        yield variable.get()

    async def view(request: Any) -> Chunks:
        variable.set(b"set")
        await asyncio.sleep(0.001)
        return Chunks(chunks())

    with serve_async(view) as live:
        assert live.get().body == b"setset"
        assert live.errors == []


def test_a_stream_on_the_loop_that_fails_is_cut() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"begin"
        raise ValueError("half-way")

    async def view(request: Any) -> Chunks:
        return Chunks(chunks())

    with serve_async(view) as live:
        with live.connect() as sock:
            sock.sendall(GET)
            with pytest.raises(EOFError):
                next(read_answers(sock))
        until(lambda: live.errors)
        assert repr(live.errors[0]) == "ValueError('half-way')"
        until(lambda: live.in_flight == 0)


def test_a_slow_reader_holds_a_coroutine_back() -> None:
    produced = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal produced
        while produced < 64 * MIB:
            produced += 65536
            yield b"x" * 65536

    async def view(request: Any) -> Chunks:
        return Chunks(chunks())

    with serve_async(view) as live, live.connect(receive_buffer=65536) as sock:
        sock.sendall(GET)
        until(lambda: produced)
        before = -1
        while produced != before:
            before = produced
            time.sleep(0.1)
        assert 0 < produced < 8 * MIB
        assert len(next(read_answers(sock)).body) == produced == 64 * MIB


@pytest.mark.parametrize("endless", [False, True])
def test_a_client_that_leaves_cancels_the_stream(endless: bool) -> None:
    seen: list[str] = []

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            while True:
                if endless:
                    yield b"x" * 65536
                else:
                    await asyncio.sleep(600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        except GeneratorExit:
            seen.append("closed")
            raise
        finally:
            seen.append("finally")

    async def view(request: Any) -> Chunks:
        return Chunks(chunks(), on_close=lambda: seen.append("response closed"))

    with serve_async(view) as live:
        sock = live.connect()
        sock.sendall(GET)
        sock.recv(1000)
        sock.close()
        until(lambda: live.in_flight == 0)
        how = "closed" if endless else "cancelled"
        assert seen == [how, "finally", "response closed"]
        assert live.errors == []


def test_a_client_that_leaves_cancels_the_view() -> None:
    seen: list[str] = []

    async def view(request: Any) -> Reply:
        try:
            seen.append("entered")
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return Reply(b"")

    with serve_async(view) as live:
        sock = live.connect()
        sock.sendall(GET)
        until(lambda: seen)
        sock.close()
        until(lambda: live.in_flight == 0)
        assert seen == ["entered", "cancelled"]
        assert live.errors == []


def test_a_stream_that_suppresses_its_cancellation_ends_all_the_same() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            try:
                yield b"x" * 65536
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                pass

    async def view(request: Any) -> Chunks:
        return Chunks(chunks())

    with serve_async(view) as live:
        sock = live.connect()
        sock.sendall(GET)
        sock.recv(100_000)
        sock.close()
        until(lambda: live.in_flight == 0)


def test_those_who_wait_for_room_are_woken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    from quintette import _streams

    woken: list[int] = []

    async def pump(stream: Any, chunks: Any) -> None:
        while stream.write(b"x" * 65536):
            pass

        async def wait(n: int) -> None:
            await stream.drained()
            woken.append(n)

        await asyncio.gather(*(wait(n) for n in range(3)))

    async def chunks() -> AsyncIterator[bytes]:
        yield b""

    async def view(request: Any) -> Chunks:
        return Chunks(chunks())

    monkeypatch.setattr(_streams, "pump", pump)
    with serve_async(view) as live:
        assert len(live.get().body) >= 65536
    assert sorted(woken) == [0, 1, 2]


def test_an_executor_instead_of_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def view(request: Any) -> Reply:
        if request.path == "/stream":
            return Chunks([b"abc"] * 3)
        return Reply(threading.current_thread().name.encode())

    with ThreadPoolExecutor(2, thread_name_prefix="own") as pool:

        def executor(job: Any) -> None:
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(pool, job.run)
            future.add_done_callback(lambda done: job.finish())

        with LiveServer(django_sync=view, executor=executor) as live:
            assert live.get("/").body.startswith(b"own")
            assert live.get("/stream").body == b"abcabcabc"


@pytest.mark.parametrize("path", ["/", "/stream"])
@pytest.mark.parametrize("way", ["early", "twice", "raises", "raises late", "raises afterwards"])
def test_executors_that_do_not_keep_to_the_rules(way: str, path: str) -> None:
    """A flight ends once, and never while its thread is at work."""
    begun, go_on = threading.Event(), threading.Event()
    jobs: list[threading.Thread] = []

    def chunks() -> Iterator[bytes]:
        for _ in range(10):
            yield b"abc"
            time.sleep(0.001)

    def view(request: Any) -> Reply:
        begun.set()
        go_on.wait(WAIT_SECONDS)
        return Chunks(chunks()) if request.path == "/stream" else Reply(b"x" * 30)

    def run(job: Any, loop: asyncio.AbstractEventLoop) -> None:
        job.run()
        if way in {"twice", "raises afterwards"}:
            job.run()
        loop.call_soon_threadsafe(job.finish)

    def executor(job: Any) -> None:
        if way == "raises":
            raise OSError("full")
        loop = asyncio.get_running_loop()
        jobs.append(threading.Thread(target=run, args=(job, loop)))
        jobs[-1].start()
        if way in {"early", "raises late"}:
            assert begun.wait(WAIT_SECONDS)
        if way == "early":
            job.finish()
            job.finish()
        go_on.set()
        if way == "raises late":
            raise OSError("too late")
        if way == "raises afterwards":
            jobs[-1].join()
            job.finish()
            raise OSError("after all")

    with LiveServer(django_sync=view, executor=executor) as live:
        for _ in range(20):
            begun.clear()
            go_on.clear()
            with live.connect() as sock:
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
                expected = {"early": b"", "raises": b"500", "raises late": b""}
                assert sock.recv(12)[-3:] == expected.get(way, b"200")
        for thread in jobs:
            thread.join()
        until(lambda: live.in_flight == 0)
