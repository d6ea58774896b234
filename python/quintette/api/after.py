"""Work for behind the response."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from typing import Any, Final

from asgiref.sync import async_to_sync, sync_to_async

logger = logging.getLogger("quintette.after")

# Of one request, and of all that wait or run in a process.
CALLS_MAX: Final = 64
RUNNING_MAX: Final = 1000

_Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

_running: set[asyncio.Task[None]] = set()


class AfterResponse:
    """The parameter of a handler: ``after(function, *args)`` calls the function once the response
    has left, on the loop where it is asynchronous, else in a thread; in the order of the calls,
    with the request's context variables. An error is logged, and the next one called. Nothing of it
    outlives the process: what must happen belongs into a queue."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        if not callable(function):
            raise TypeError(
                f"after({function!r}): a function is needed, and behind it its arguments"
            )
        if len(self._calls) >= CALLS_MAX:
            raise RuntimeError(f"more than {CALLS_MAX} calls for behind one response")
        if len(_running) >= RUNNING_MAX:
            raise RuntimeError(f"work of {RUNNING_MAX} responses is still to be done")
        self._calls.append((function, args, kwargs))

    def start(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        """Called by the server, on any thread, when the response was given."""
        if self._calls:
            loop.call_soon_threadsafe(self._begin, loop, context.copy())

    def _begin(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        task = loop.create_task(self.run(), context=context)
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def run(self) -> None:
        # Imported here: signatures have parameters of this class.
        from quintette.api.signature import is_async

        for function, args, kwargs in self._calls:
            called = function if is_async(function) else sync_to_async(function)
            try:
                await called(*args, **kwargs)
            except Exception:
                name = getattr(function, "__qualname__", repr(function))
                logger.exception("%s failed behind the response", name)

    def close(self) -> None:
        """Other servers call it when the response has left."""
        if self._calls:
            async_to_sync(self.run)()


async def finish(seconds: float) -> int:
    """Waits so long for what still runs on this loop; cancels the rest, and says how much it was.
    What the last responses have left may be about to begin."""
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    ours = {task for task in _running if task.get_loop() is loop}
    if not ours:
        return 0
    _, late = await asyncio.wait(ours, timeout=seconds)
    for task in late:
        task.cancel()
    return len(late)
