"""Waiting for a descriptor in a greenlet: what comes, what does not, and who gives up."""

from __future__ import annotations

import asyncio
import gc
import selectors
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quintette._quintette import FdWait
from quintette.concurrency import run as in_greenlet

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    here, there = socket.socketpair()
    here.setblocking(False)
    yield here, there
    here.close()
    there.close()


async def awaiting(func: Callable[..., Any], *args: Any) -> Any:
    return await in_greenlet(func, *args)


def test_gives_what_is_ready(run: Any, pair: Pair) -> None:
    here, there = pair

    def waiting() -> None:
        wait = FdWait(here.fileno())
        assert wait.wait(READ, 0.01) == 0
        assert wait.wait(READ | WRITE) == WRITE
        there.send(b"x")
        assert wait.wait(READ) == READ
        assert wait.wait(READ | WRITE) == READ | WRITE
        wait.close()
        with pytest.raises(ValueError, match="closed"):
            wait.wait(READ)

    run(awaiting(waiting))


def test_one_greenlet_at_a_time(run: Any, pair: Pair) -> None:
    here, there = pair
    wait = FdWait(here.fileno())

    def second() -> None:
        with pytest.raises(RuntimeError, match="another greenlet waits"):
            wait.wait(READ)
        there.send(b"x")

    async def main() -> None:
        assert await asyncio.gather(awaiting(wait.wait, READ), awaiting(second)) == [READ, None]

    run(main())


@pytest.mark.parametrize("end", ["cancel", "close", "timeout"])
def test_whoever_waits_gives_up_and_another_waits(run: Any, pair: Pair, end: str) -> None:
    """What is freed meanwhile, and still used, is the sanitizer's to see (make asan)."""
    here, there = pair
    wait = FdWait(here.fileno())

    async def give_up() -> None:
        task = asyncio.create_task(awaiting(wait.wait, READ, 0.02 if end == "timeout" else None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if end == "timeout":
            assert await task == 0
            return
        if end == "cancel":
            task.cancel()
        else:
            wait.close()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def main() -> None:
        for _ in range(3 if end != "close" else 1):
            await give_up()
        another = wait if end != "close" else FdWait(here.fileno())
        gc.collect()
        there.send(b"x")
        assert await in_greenlet(another.wait, READ) == READ
        another.close()

    run(main())


def test_a_descriptor_that_cannot_be_watched(run: Any, tmp_path: Any) -> None:
    """As a file of a disk; the FdWait is of use afterwards, and nothing is left registered."""
    with (tmp_path / "file").open("wb") as file:
        wait = FdWait(file.fileno())

        def waiting() -> None:
            for _ in range(2):
                with pytest.raises(OSError):  # noqa: PT011 - EPERM or ENOTSUP
                    wait.wait(READ)

        run(awaiting(waiting))
