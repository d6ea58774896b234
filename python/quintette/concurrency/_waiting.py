from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from quintette._quintette import FdWait, Lock, SyncCall, can_wait
from quintette._quintette import wait_for as _wait_for

__all__ = ["FdWait", "Lock", "can_wait", "in_thread", "run", "sleep", "wait_fd", "wait_for"]

P = ParamSpec("P")
T = TypeVar("T")


def run(func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> SyncCall[T]:
    """An awaitable that calls the synchronous function in a greenlet, on this thread.

    It is a coroutine to who looks, and to be awaited once.
    """
    return SyncCall(func, *args, **kwargs)


def wait_for(awaitable: Awaitable[T], timeout: float | None = None) -> T:
    """The result of the awaitable, for synchronous code in a greenlet.

    It is awaited by the task that runs the greenlet. TimeoutError after ``timeout`` seconds, when
    the awaitable is cancelled. RuntimeError outside of a greenlet (see ``can_wait()``).
    """
    if timeout is None:
        return _wait_for(awaitable)
    return _wait_for(asyncio.wait_for(awaitable, timeout))


def sleep(seconds: float) -> None:
    """``time.sleep()`` during which the loop goes on. In a greenlet."""
    _wait_for(asyncio.sleep(seconds))


def wait_fd(fd: int, events: int, timeout: float | None = None) -> int:
    """Waits until the descriptor is ready for some of the events; in a greenlet.

    ``events`` and the result are ``selectors.EVENT_READ | selectors.EVENT_WRITE``; the result is 0
    when ``timeout`` seconds have passed. Who waits for one descriptor again and again is served
    better by an ``FdWait``.
    """
    waiting = FdWait(fd)
    try:
        return waiting.wait(events, timeout)
    finally:
        waiting.close()


def in_thread(func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a function that blocks in a thread and waits for it here, in a greenlet.

    It gets a copy of the context. When the waiting code is cancelled the function runs on, and its
    result is dropped.
    """
    loop = asyncio.get_running_loop()
    call = functools.partial(contextvars.copy_context().run, func, *args, **kwargs)
    return _wait_for(loop.run_in_executor(None, call))
