"""In a process of its own, over epoll_pause.c: what the loop's wait has just fetched an event of
ends in another thread.

    dropped_watch.py fd_wait | registration
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import selectors
import socket
import sys
import threading
from collections.abc import Callable

from quintette import _quintette
from quintette.concurrency import run


async def watch_by_fd_wait(sock: socket.socket) -> Callable[[], None]:
    """Registered by a first wait, it stays so. Part of a cycle, which only the collector frees."""
    waits = [_quintette.FdWait(sock.fileno())]

    def wait_once() -> None:
        assert waits[0].wait(selectors.EVENT_READ, 0.01) == 0

    await asyncio.create_task(awaiting(wait_once))

    def end() -> None:
        waits.clear()
        gc.collect()

    return end


async def awaiting(func: Callable[[], None]) -> None:
    await run(func)


async def watch_by_registration(sock: socket.socket) -> Callable[[], None]:
    poller = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    poller.register(sock, selectors.EVENT_READ)
    return lambda: poller.unregister(sock)


async def main(kind: str) -> None:
    shim = ctypes.CDLL(None)
    (tell, told), (go, gone) = (os.pipe()[::-1] for _ in range(2))
    here, there = socket.socketpair()
    here.setblocking(False)
    watch = {"fd_wait": watch_by_fd_wait, "registration": watch_by_registration}[kind]
    end = await watch(here)
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def interfere() -> None:
        shim.pause_next(tell, gone)
        there.send(b"x")
        os.read(told, 1)  # the event was fetched; the loop's thread is held
        end()
        os.write(go, b"x")
        loop.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=interfere)
    thread.start()
    await asyncio.wait_for(done.wait(), 20)
    thread.join()
    print("survived")


if __name__ == "__main__":
    poller = _quintette.Poller()
    event_loop = asyncio.SelectorEventLoop(poller)
    poller.bind_loop(event_loop)
    event_loop.run_until_complete(main(sys.argv[1]))
