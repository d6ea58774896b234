"""The engine's Task beside asyncio.Task: one list of scenarios, run under both."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from task_scenarios import Scenario, Start, scenarios, variable
from wire import GET, Reply, async_router, memory_client, run

from quintette import _quintette

# ---- both ways


async def under_asyncio(function: Scenario) -> Any:
    variable.set("outside")

    def start(body: Callable[[], Awaitable[Any]]) -> Any:
        async def coroutine() -> Any:
            return await body()

        return asyncio.get_running_loop().create_task(coroutine())

    return await function(start)


async def under_the_engine(function: Scenario) -> Any:
    """start() sends a request; the scenario's body is run by the handler's task, whose awaitable
    is the very coroutine that the engine drives."""
    variable.set("outside")
    loop = asyncio.get_running_loop()
    tasks: list[Any] = []

    def start(body: Callable[[], Awaitable[Any]]) -> Any:
        def view(request: Any) -> Coroutine[Any, Any, Any]:
            async def coroutine() -> Any:
                tasks.append(asyncio.current_task())
                return await body()

            return coroutine()

        manager = memory_client(
            loop, router=async_router("/"), django_async=view, django_sync=view,
            on_error=lambda error, request: None,
        )  # fmt: skip
        connection = stack.enter_context(manager)
        connection.feed(GET)
        return tasks[-1]

    with contextlib.ExitStack() as stack:
        seen = await function(start)
        assert type(tasks[0]) is _quintette.Task
        return seen


@pytest.mark.parametrize("function", scenarios, ids=lambda function: function.__name__)
def test_parity_with_asyncio(function: Scenario) -> None:
    assert run(under_the_engine(function)) == run(under_asyncio(function))


@pytest.mark.parametrize("waits", [False, True])
def test_an_exit_leaves_feed_or_the_loop(waits: bool) -> None:
    async def body() -> None:
        if waits:
            await asyncio.sleep(0)
        raise KeyboardInterrupt("stop")

    async def main() -> None:
        async def exits(start: Start) -> None:
            start(body)
            await asyncio.sleep(0.1)

        await under_the_engine(exits)

    with pytest.raises(KeyboardInterrupt):
        run(main())


def test_tasks_are_freed_without_the_collector() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        tasks: list[weakref.ref[Any]] = []

        async def view(request: Any) -> Reply:
            tasks.append(weakref.ref(asyncio.current_task()))
            if len(tasks) % 2:
                await asyncio.sleep(0.001)
            return Reply(b"")

        with memory_client(
            loop, router=async_router("/"), django_async=view, django_sync=view
        ) as connection:
            for _ in range(10):
                connection.feed(GET)
                await asyncio.sleep(0.005)
                connection.take()
                connection.resume()
        assert len(tasks) == 10
        assert not any(task() for task in tasks)

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_call_at_end_is_called_within_the_last_step() -> None:
    log: list[str] = []

    async def main() -> None:
        async def body() -> None:
            task: Any = asyncio.current_task()
            task.call_at_end(lambda ended: log.append(f"at end {ended.done()}"))
            task.add_done_callback(lambda _: log.append("done"))
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(log.append, "next turn")

        async def ends(start: Start) -> None:
            start(body)
            for _ in range(4):
                await asyncio.sleep(0)

        await under_the_engine(ends)

    run(main())
    assert log[0] == "at end True"
    assert sorted(log[1:]) == ["done", "next turn"]
