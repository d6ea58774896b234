"""_quintette.Poller as the selector of an asyncio loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from wire import (
    GET,
    WAIT_SECONDS,
    LiveServer,
    Reply,
    async_router,
    memory_client,
    new_loop,
    poller_of,
    run,
    until,
)

from quintette import _quintette

# ---- selectors.BaseSelector


def test_registrations_follow_selectors() -> None:
    poller = _quintette.Poller()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        key = poller.register(ours, selectors.EVENT_READ, "data")
        assert key == selectors.SelectorKey(ours, ours.fileno(), selectors.EVENT_READ, "data")
        assert poller.get_key(ours) == key
        assert poller.get_map()[ours.fileno()] == key
        assert len(poller.get_map()) == 1
        assert ours in poller.get_map()
        assert theirs not in poller.get_map()
        assert list(poller.get_map()) == [ours.fileno()]
        assert poller.select(0) == []
        theirs.send(b"x")
        assert poller.select(1) == [(key, selectors.EVENT_READ)]
        both = poller.modify(ours, selectors.EVENT_READ | selectors.EVENT_WRITE)
        assert poller.select(1) == [(both, selectors.EVENT_READ | selectors.EVENT_WRITE)]
        assert poller.unregister(ours) == both
        assert poller.select(0) == []
        assert poller.get_map().get(ours) is None


def test_wrong_registrations_raise_as_selectors_do() -> None:
    poller = _quintette.Poller()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poller.register(ours, selectors.EVENT_READ)
        with pytest.raises(KeyError):
            poller.register(ours, selectors.EVENT_READ)
        with pytest.raises(KeyError):
            poller.unregister(theirs)
        with pytest.raises(KeyError):
            poller.modify(theirs, selectors.EVENT_READ)
        with pytest.raises(KeyError):
            poller.get_key(theirs)
        for events in (0, 4, -1):
            with pytest.raises(ValueError, match="Invalid events"):
                poller.register(theirs, events)
        with pytest.raises(ValueError, match=r"file descriptor"):
            poller.register(1 << 21, selectors.EVENT_READ)
        with pytest.raises(TypeError):
            poller.register("no file", selectors.EVENT_READ)
    with pytest.raises(TypeError):
        _quintette.Poller(loop=None)  # type: ignore[call-arg]


def test_a_file_the_kernel_cannot_watch_is_not_registered(tmp_path: Any) -> None:
    poller = _quintette.Poller()
    with (tmp_path / "f").open("wb") as file:
        with pytest.raises(PermissionError):
            poller.register(file, selectors.EVENT_WRITE)
        assert len(poller.get_map()) == 0


def test_a_closed_file_is_still_found_to_be_unregistered() -> None:
    poller = _quintette.Poller()
    ours, theirs = socket.socketpair()
    key = poller.register(ours, selectors.EVENT_READ)
    ours.close()
    theirs.close()
    assert poller.unregister(ours) == key


@pytest.mark.parametrize("timeout", [0, -1, 0.05, float("nan")])
def test_timeouts(timeout: float) -> None:
    begin = time.monotonic()
    assert _quintette.Poller().select(timeout) == []
    passed = time.monotonic() - begin
    assert passed >= (0.05 if timeout == 0.05 else 0)
    assert passed < 20  # milliseconds are not taken for seconds


def test_select_is_not_reentrant() -> None:
    async def main() -> BaseException | None:
        async def view(request: Any) -> Reply:
            try:
                poller_of(asyncio.get_running_loop()).select(0)
            except RuntimeError as error:
                raised.append(error)
            return Reply(b"ok")

        raised: list[BaseException] = []
        loop = asyncio.get_running_loop()
        fd = _quintette.listen("127.0.0.1", 0)
        server = _quintette.Server(
            poller_of(loop), router=async_router("/"), django_async=view, django_sync=view
        )
        server.accept_on(fd)
        with socket.socket(fileno=fd) as listener:
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            writer.write(GET)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
            server.close()
        return raised[0]

    assert "select() is running already" in str(run(main()))


def test_select_is_interrupted_by_a_signal_that_raises() -> None:
    def handler(number: int, frame: object) -> None:
        raise InterruptedError("seen")

    before = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        with pytest.raises(InterruptedError, match="seen"):  # noqa: PT012
            timer.start()
            _quintette.Poller().select(WAIT_SECONDS)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_select_goes_on_after_a_signal_that_does_not() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    loop = new_loop()
    try:
        begin = time.monotonic()
        loop.run_until_complete(asyncio.sleep(0.15))
        assert time.monotonic() - begin >= 0.15
    finally:
        timer.join()
        loop.close()
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


# ---- asyncio on it


def test_streams() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def talk(port: int, payload: bytes) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sending = asyncio.ensure_future(_send(writer, payload))
        got = await reader.readexactly(len(payload))
        await sending
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        return got == payload

    async def _send(writer: asyncio.StreamWriter, payload: bytes) -> None:
        writer.write(payload)
        await writer.drain()

    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        payloads = [bytes([n]) * (1 + n * 40_000) for n in range(20)]
        assert all(await asyncio.gather(*(talk(port, payload) for payload in payloads)))
        server.close()
        await server.wait_closed()

    run(main())


def test_datagrams() -> None:
    class Receiver(asyncio.DatagramProtocol):
        def __init__(self, got: asyncio.Future[bytes]) -> None:
            self.got = got

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.got.set_result(data)

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        got: asyncio.Future[bytes] = loop.create_future()
        server, _ = await loop.create_datagram_endpoint(
            lambda: Receiver(got), local_addr=("127.0.0.1", 0)
        )
        client, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=server.get_extra_info("sockname")
        )
        client.sendto(b"hello")
        data = await asyncio.wait_for(got, WAIT_SECONDS)
        client.close()
        server.close()
        return data

    assert run(main()) == b"hello"


def test_subprocesses() -> None:
    async def main() -> tuple[bytes, int | None, int]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print(input()[::-1])",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(b"abc\n"), WAIT_SECONDS)
        sleeper = await asyncio.create_subprocess_exec("sleep", "600")
        sleeper.terminate()
        return out, process.returncode, await asyncio.wait_for(sleeper.wait(), WAIT_SECONDS)

    assert run(main()) == (b"cba\n", 0, -signal.SIGTERM)


def test_readers_and_writers() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        done = asyncio.Event()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        reading, writing = os.pipe()
        with ours, theirs:

            def readable() -> None:
                seen.append(ours.recv(10).decode())
                loop.remove_reader(ours)
                loop.add_writer(ours, writable)

            def writable() -> None:
                seen.append("writable")
                loop.remove_writer(ours)
                os.write(writing, b"pipe")

            def piped() -> None:
                seen.append(os.read(reading, 10).decode())
                done.set()

            loop.add_reader(ours, readable)
            loop.add_reader(reading, piped)
            theirs.send(b"socket")
            await asyncio.wait_for(done.wait(), WAIT_SECONDS)
            assert loop.remove_reader(reading)
            assert not loop.remove_reader(reading)
        os.close(reading)
        os.close(writing)
        return seen

    assert run(main()) == ["socket", "writable", "pipe"]


def test_the_hangup_of_a_pipe_is_readable() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        done = asyncio.Event()
        loop.add_reader(reading, done.set)
        os.close(writing)
        await asyncio.wait_for(done.wait(), WAIT_SECONDS)
        loop.remove_reader(reading)
        data = os.read(reading, 1)
        os.close(reading)
        return data

    assert run(main()) == b""


def test_calls_from_threads() -> None:
    threads, calls = 8, 500

    async def main() -> int:
        loop = asyncio.get_running_loop()
        counted = 0
        done = asyncio.Event()

        def count() -> None:
            nonlocal counted
            counted += 1
            if counted == threads * calls:
                done.set()

        def work() -> None:
            for _ in range(calls):
                loop.call_soon_threadsafe(count)

        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            for _ in range(threads):
                pool.submit(work)
            await asyncio.wait_for(done.wait(), WAIT_SECONDS)
        return counted

    assert run(main()) == threads * calls


def test_signal_handlers() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        got: asyncio.Future[int] = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR2, got.set_result, 1)
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR2)).start()
        try:
            return await asyncio.wait_for(got, WAIT_SECONDS)
        finally:
            loop.remove_signal_handler(signal.SIGUSR2)

    assert run(main()) == 1


def test_keyboard_interrupt_while_waiting() -> None:
    async def main() -> None:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        await asyncio.sleep(600)

    # A process that was started in the background ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(main())
    finally:
        signal.signal(signal.SIGINT, before)


def test_many_timers_fire_in_order() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        fired: list[int] = []
        begin = loop.time()
        delays = [(n * 7919) % 1000 for n in range(1000)]
        for delay in delays:
            loop.call_at(begin + delay / 10_000, fired.append, delay)
        cancelled = [loop.call_later(0.01, fired.append, -1) for _ in range(500)]
        for handle in cancelled:
            handle.cancel()
        await asyncio.sleep(0.15)
        return fired

    assert run(main()) == sorted((n * 7919) % 1000 for n in range(1000))


def test_executors() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(None, pow, n, 2) for n in range(50)))

    assert run(main()) == [n * n for n in range(50)]


def test_the_loop_is_collected_although_it_was_not_closed() -> None:
    ours, theirs = socket.socketpair()
    loop = new_loop()
    loop.add_reader(ours, print)
    server = _quintette.Server(poller_of(loop), django_sync=loop.time)
    gone = weakref.ref(loop)
    del loop, server
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    assert gone() is None
    ours.close()
    theirs.close()


def test_unregistering_from_another_thread_during_the_wait() -> None:
    """Not asyncio's rules, but it must not touch freed memory."""
    poller = _quintette.Poller()
    pairs = [socket.socketpair() for _ in range(200)]
    for ours, _ in pairs:
        poller.register(ours, selectors.EVENT_READ)

    def change() -> None:
        for ours, theirs in pairs:
            theirs.send(b"x")
            poller.unregister(ours)

    thread = threading.Thread(target=change)
    thread.start()
    while thread.is_alive():
        poller.select(0.001)
    thread.join()
    assert poller.select(0) == []
    assert len(poller) == 0
    for pair in pairs:
        for sock in pair:
            sock.close()


# ---- what handlers do to the loop that is inside select()


def test_a_timer_of_a_handler_is_honoured() -> None:
    """Handlers run inside select(), whose timeout was chosen before they did."""

    async def view(request: Any) -> Reply:
        begin = asyncio.get_running_loop().time()
        await asyncio.sleep(0.02)
        return Reply(str(asyncio.get_running_loop().time() - begin).encode())

    with LiveServer(router=async_router("/"), django_async=view, django_sync=view) as live:
        for _ in range(3):
            assert float(live.get().body) >= 0.019


def test_a_later_timer_does_not_wake_the_loop_for_nothing() -> None:
    async def view(request: Any) -> Reply:
        loop = asyncio.get_running_loop()
        loop.call_later(1000, print).cancel()
        loop.call_later(0.05, done.set)
        return Reply(b"")

    done = threading.Event()
    with LiveServer(router=async_router("/"), django_async=view, django_sync=view) as live:
        live.loop.call_soon_threadsafe(live.loop.call_later, 0.01, lambda: None)
        live.get()
        assert done.wait(WAIT_SECONDS)


def test_loop_stop_by_a_handler() -> None:
    async def view(request: Any) -> Reply:
        asyncio.get_running_loop().stop()
        return Reply(b"stopped")

    loop = new_loop()
    fd = _quintette.listen("127.0.0.1", 0)
    server = _quintette.Server(
        poller_of(loop), router=async_router("/"), django_async=view, django_sync=view
    )
    server.accept_on(fd)
    with (
        socket.socket(fileno=fd) as listener,
        socket.create_connection(listener.getsockname()[:2], WAIT_SECONDS) as client,
    ):
        client.sendall(GET)
        guard = threading.Timer(WAIT_SECONDS, loop.call_soon_threadsafe, (loop.stop,))
        guard.start()
        loop.run_forever()
        assert not guard.finished.is_set()  # it was the handler
        guard.cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert client.recv(1000).endswith(b"stopped")
    server.close()
    loop.close()


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_in_a_handler_leaves_the_loop(kind: type[BaseException], waits: bool) -> None:
    """As asyncio.Task has it: the one who runs the loop gets it; the client is told 500."""

    async def view(request: Any) -> Reply:
        if waits:
            await asyncio.sleep(0.01)
        raise kind("enough")

    loop = new_loop()
    errors: list[BaseException] = []
    fd = _quintette.listen("127.0.0.1", 0)
    server = _quintette.Server(
        poller_of(loop),
        router=async_router("/"),
        django_async=view,
        django_sync=view,
        on_error=lambda error, request: errors.append(error),
    )
    server.accept_on(fd)
    with (
        socket.socket(fileno=fd) as listener,
        socket.create_connection(listener.getsockname()[:2], WAIT_SECONDS) as client,
    ):
        client.sendall(GET)
        guard = threading.Timer(WAIT_SECONDS, loop.call_soon_threadsafe, (loop.stop,))
        guard.start()
        with pytest.raises(kind, match="enough"):
            loop.run_forever()
        guard.cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert client.recv(1000).startswith(b"HTTP/1.1 500")
    assert [type(error) for error in errors] == [kind]
    server.close()
    loop.close()


# ---- the server's life


@pytest.mark.parametrize("method", ["close", "abort", "drain"])
def test_a_handler_ends_the_server(method: str) -> None:
    async def view(request: Any) -> Reply:
        try:
            getattr(live.server, method)()
        except RuntimeError as error:
            return Reply(str(error).encode())
        return Reply(b"done")

    live = LiveServer(router=async_router("/"), django_async=view, django_sync=view)
    with live, live.connect() as sock, live.connect() as idle:
        until(lambda: live.server.stats()["connections"] == 2)
        sock.sendall(GET)
        if method == "close":
            assert sock.recv(65536).endswith(b"1 requests are still being handled")
            return
        data = b"".join(iter(lambda: sock.recv(65536), b""))
        assert data.endswith(b"done") or method == "abort"
        assert idle.recv(1) == b""


def test_a_handler_drops_the_last_reference_to_its_server() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        fd = _quintette.listen("127.0.0.1", 0)

        async def view(request: Any) -> Reply:
            servers.clear()
            gc.collect()
            return Reply(b"still here")

        servers = [
            _quintette.Server(
                poller_of(loop), router=async_router("/"), django_async=view, django_sync=view
            )
        ]
        servers[0].accept_on(fd)
        with socket.socket(fileno=fd) as listener:
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            writer.write(GET)
            data = await asyncio.wait_for(reader.read(1000), WAIT_SECONDS)
            writer.write(GET)
            data = await asyncio.wait_for(reader.read(1000), WAIT_SECONDS)
            writer.close()
        return data

    assert run(main()).endswith(b"still here")


def test_a_request_outlives_its_server() -> None:
    kept: list[Any] = []

    async def view(request: Any) -> Reply:
        kept.append(request)
        return Reply(b"")

    with LiveServer(router=async_router("/a"), django_async=view, django_sync=view) as live:
        assert live.get("/a").status == 200
    del live
    gc.collect()
    assert kept[0].path == "/a"
    assert kept[0].is_gone
    kept.clear()
    gc.collect()


def test_a_connection_in_memory_outlives_its_server() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = _quintette.Server(poller_of(loop), django_sync=print)
        connection = server.memory_connection()
        server.close()
        server.close()
        with pytest.raises(RuntimeError, match="closed"):
            server.drain()
        with pytest.raises(RuntimeError, match="closed"):
            connection.feed(GET)
        assert connection.take() == b""
        connection.eof()
        assert connection.closed

    run(main())


def test_closing_from_another_thread_is_refused_while_the_loop_waits() -> None:
    with LiveServer(django_sync=lambda request: Reply(b"")) as live:
        for method in ("drain", "abort", "close"):
            for _ in range(100):
                time.sleep(0.001)
                try:
                    getattr(live.server, method)()
                except RuntimeError as error:
                    refused = str(error)
                    break
            else:
                pytest.fail(f"{method} went through a hundred times")
            assert "call_soon_threadsafe" in refused
        assert live.get().status == 200


def test_exceptions_of_destructors_are_kept_apart() -> None:
    """A connection that is dropped while an exception travels cancels its handler."""
    ended: list[str] = []
    over = asyncio.Event()

    async def view(request: Any) -> Reply:
        try:
            await asyncio.sleep(600)
        finally:
            ended.append("cancelled")
            over.set()
        return Reply(b"")

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def fail() -> None:
            with memory_client(
                loop, router=async_router("/"), django_async=view, django_sync=view
            ) as connection:
                connection.feed(GET)
                del connection
                raise KeyError("on its way")

        with pytest.raises(KeyError, match="on its way"):
            fail()
        await asyncio.wait_for(over.wait(), WAIT_SECONDS)

    run(main())
    assert ended == ["cancelled"]


EXIT = """
import asyncio, sys, threading, time
sys.path[:0] = {path!r}
import socket
from wire import Reply, Chunks, LiveServer, GET
entered = threading.Event()
def view(request):
    if request.path == "/slow":
        entered.set()
        time.sleep(600)
    return Reply(b"ok")
live = LiveServer(django_sync=view)
live._thread.daemon = True
live.__enter__()
for _ in range(3):
    assert live.get().status == 200
live.connect().sendall(b"GET /slow HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n")
assert entered.wait(60)
print("exiting", flush=True)
"""


def test_the_interpreter_exits_with_threads_waiting_and_working() -> None:
    code = EXIT.format(path=sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"exiting\n", b"")
