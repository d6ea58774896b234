"""What a task may live through. Each scenario is run by asyncio and by the engine in test_task."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import anyio
import anyio.lowlevel

Scenario = Callable[["Start"], Awaitable[Any]]
Start = Callable[[Callable[[], Awaitable[Any]]], Any]
scenarios: list[Scenario] = []
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")


def scenario(function: Scenario) -> Scenario:
    """function(start) says what it saw; start(body) runs body() as a task and gives that."""
    scenarios.append(function)
    return function


# ---- ends


async def outcome(task: Any) -> Any:
    with contextlib.suppress(BaseException):
        await asyncio.wait({task}, timeout=60)
    if not task.done():
        return "pending"
    if task.cancelled():
        try:
            task.result()
        except asyncio.CancelledError as error:
            return ("cancelled", error.args)
    error = task.exception()
    return ("error", repr(error)) if error else ("result", task.result())


@scenario
async def result(start: Start) -> Any:
    async def body() -> int:
        return 42

    return await outcome(start(body))


@scenario
async def result_after_waiting(start: Start) -> Any:
    async def body() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return 42

    return await outcome(start(body))


@scenario
async def error(start: Start) -> Any:
    async def body() -> None:
        raise ValueError("no")

    return await outcome(start(body))


@scenario
async def error_after_waiting(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(0.001)
        raise ValueError("no")

    return await outcome(start(body))


@scenario
async def stop_iteration(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(0)
        raise StopIteration(1)

    return await outcome(start(body))


@scenario
async def error_of_a_future(start: Start) -> Any:
    future = asyncio.get_running_loop().create_future()

    async def body() -> str:
        try:
            await future
        except LookupError as error:
            return f"caught {error!r}"
        return "nothing"

    task = start(body)
    await asyncio.sleep(0)
    future.set_exception(LookupError("far"))
    return await outcome(task)


@scenario
async def unfinished(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(1000)

    task = start(body)
    await asyncio.sleep(0)
    seen = []
    for method in (task.result, task.exception):
        try:
            method()
        except asyncio.InvalidStateError as error:
            seen.append(str(error))
    seen.append(str((task.done(), task.cancelled())))
    task.cancel()
    return seen, await outcome(task)


# ---- cancelling


@scenario
async def cancel_while_waiting(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(1000)

    task = start(body)
    await asyncio.sleep(0)
    seen = [task.cancel(), task.cancelling(), task.done()]
    return seen, await outcome(task), task.cancel()


@scenario
async def cancel_with_a_message(start: Start) -> Any:
    seen: list[Any] = []

    async def body() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError as error:
            seen.append(error.args)
            raise

    task = start(body)
    await asyncio.sleep(0)
    task.cancel("enough")
    return seen, await outcome(task)


@scenario
async def cancel_between_turns_with_a_message(start: Start) -> Any:
    seen: list[Any] = []

    async def body() -> None:
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(1000)
        except asyncio.CancelledError as error:
            seen.append(error.args)
            raise

    task = start(body)
    await asyncio.sleep(0)
    task.cancel(msg="enough")
    return await outcome(task), seen


@scenario
async def cancel_suppressed(start: Start) -> Any:
    async def body() -> str:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
        return "went on"

    task = start(body)
    await asyncio.sleep(0)
    task.cancel()
    return await outcome(task), task.cancelling()


@scenario
async def cancel_in_finally(start: Start) -> Any:
    seen: list[str] = []

    async def body() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            try:
                seen.append("cleaning")
                await asyncio.sleep(1000)
            finally:
                seen.append("cleaned")

    task = start(body)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0.001)
    task.cancel()
    return await outcome(task), seen, task.cancelling()


@scenario
async def cancel_twice_at_once_is_thrown_once(start: Start) -> Any:
    seen: list[str] = []

    async def body() -> str:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("first")
        try:
            await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            seen.append("second")
        return "end"

    task = start(body)
    await asyncio.sleep(0)
    task.cancel()
    task.cancel()
    return await outcome(task), seen


@scenario
async def cancel_itself(start: Start) -> Any:
    async def body() -> str:
        current = asyncio.current_task()
        assert current is not None
        current.cancel("mine")
        await asyncio.sleep(0)
        return "not reached"

    return await outcome(start(body))


@scenario
async def cancel_itself_and_return(start: Start) -> Any:
    async def body() -> str:
        await asyncio.sleep(0)
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        return "gives way"

    return (await outcome(start(body)))[0]


@scenario
async def cancel_itself_before_a_future(start: Start) -> Any:
    future = asyncio.get_running_loop().create_future()

    async def body() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel("mine")
        await future

    return await outcome(start(body)), future.cancelled()


@scenario
async def uncancel(start: Start) -> Any:
    async def body() -> Any:
        current = asyncio.current_task()
        assert current is not None
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            before = current.cancelling()
            return before, current.uncancel(), current.uncancel(), current.cancelling()

    task = start(body)
    await asyncio.sleep(0)
    task.cancel()
    return await outcome(task)


@scenario
async def raised_cancelled_error(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError("by hand")

    return await outcome(start(body))


# ---- structures of asyncio


@scenario
async def timeouts(start: Start) -> Any:
    async def body() -> Any:
        seen: list[Any] = []
        try:
            async with asyncio.timeout(0.005):
                await asyncio.sleep(1000)
        except TimeoutError:
            seen.append("timeout")
        try:
            await asyncio.wait_for(asyncio.sleep(1000), 0.005)
        except TimeoutError:
            seen.append("wait_for")
        async with asyncio.timeout(1000):
            seen.append(await asyncio.wait_for(asyncio.sleep(0.001, "in time"), 1000))
        current = asyncio.current_task()
        assert current is not None
        return seen, current.cancelling()

    return await outcome(start(body))


@scenario
async def a_timeout_that_is_due_at_once(start: Start) -> Any:
    async def body() -> str:
        try:
            async with asyncio.timeout(-1):
                await asyncio.sleep(1000)
        except TimeoutError:
            return "timeout"
        return "no"

    return await outcome(start(body))


@scenario
async def cancelled_within_a_timeout(start: Start) -> Any:
    async def body() -> None:
        async with asyncio.timeout(1000):
            await asyncio.sleep(1000)

    task = start(body)
    await asyncio.sleep(0.001)
    task.cancel("outer")
    return await outcome(task)


@scenario
async def task_group(start: Start) -> Any:
    async def child(n: int) -> int:
        await asyncio.sleep(0.001 * n)
        return n

    async def body() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(n)) for n in range(3)]
        return [task.result() for task in tasks]

    return await outcome(start(body))


@scenario
async def failing_task_group(start: Start) -> Any:
    seen: list[str] = []

    async def failing() -> None:
        await asyncio.sleep(0.001)
        raise ValueError("child")

    async def sibling() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append("sibling cancelled")

    async def body() -> Any:
        current = asyncio.current_task()
        assert current is not None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(failing())
                group.create_task(sibling())
                await asyncio.sleep(1000)
        except* ValueError as errors:
            seen.append(repr(errors.exceptions))
        await asyncio.sleep(0)
        return current.cancelling()

    return await outcome(start(body)), seen


@scenario
async def cancelled_task_group(start: Start) -> Any:
    seen: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append("child")

    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            group.create_task(child())

    task = start(body)
    await asyncio.sleep(0.001)
    task.cancel()
    return await outcome(task), seen


@scenario
async def gather(start: Start) -> Any:
    async def failing() -> None:
        raise KeyError("x")

    async def body() -> Any:
        first = await asyncio.gather(asyncio.sleep(0.001, 1), asyncio.sleep(0, 2))
        second = await asyncio.gather(failing(), asyncio.sleep(0, 2), return_exceptions=True)
        return first, repr(second)

    return await outcome(start(body))


@scenario
async def shield(start: Start) -> Any:
    inner = asyncio.ensure_future(asyncio.sleep(0.01, "inner"))

    async def body() -> None:
        await asyncio.shield(inner)

    task = start(body)
    await asyncio.sleep(0)
    task.cancel()
    return await outcome(task), await inner


@scenario
async def queue_and_lock(start: Start) -> Any:
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    lock = asyncio.Lock()

    async def body() -> list[int]:
        async with lock:
            return [await queue.get() for _ in range(3)]

    task = start(body)
    for n in range(3):
        await queue.put(n)
    return await outcome(task), lock.locked()


@scenario
async def executor(start: Start) -> Any:
    async def body() -> int:
        return await asyncio.to_thread(pow, 2, 10)

    return await outcome(start(body))


@scenario
async def async_generator_and_context_manager(start: Start) -> Any:
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[str]:
        try:
            yield "managed"
        finally:
            await asyncio.sleep(0)
            seen.append("left")

    async def body() -> None:
        async with manager() as text:
            seen.append(text)
            await asyncio.sleep(1000)

    task = start(body)
    await asyncio.sleep(0)
    task.cancel()
    return await outcome(task), seen


# ---- anyio


@scenario
async def anyio_task_group(start: Start) -> Any:
    seen: list[int] = []

    async def child(n: int) -> None:
        await anyio.sleep(0.001 * n)
        seen.append(n)

    async def body() -> str:
        async with anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(child, n)
        return "done"

    return await outcome(start(body)), seen


@scenario
async def anyio_scopes(start: Start) -> Any:
    async def body() -> Any:
        seen: list[Any] = []
        with anyio.move_on_after(0.005) as scope:
            await anyio.sleep(1000)
        seen.append(scope.cancelled_caught)
        try:
            with anyio.fail_after(0.005):
                await anyio.sleep(1000)
        except TimeoutError:
            seen.append("timeout")
        with anyio.CancelScope() as scope:
            scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.001)
                seen.append("shielded")
            await anyio.sleep(1000)
        seen.append(scope.cancel_called)
        await anyio.lowlevel.checkpoint()
        current = asyncio.current_task()
        assert current is not None
        return seen, current.cancelling()

    return await outcome(start(body))


@scenario
async def anyio_failing_group(start: Start) -> Any:
    async def failing() -> None:
        await anyio.sleep(0.001)
        raise ValueError("child")

    async def body() -> str:
        seen = "no"
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(failing)
                await anyio.sleep(1000)
        except* ValueError as errors:
            seen = repr(errors.exceptions)
        return seen

    return await outcome(start(body))


@scenario
async def anyio_cancelled_from_outside(start: Start) -> Any:
    seen: list[str] = []

    async def child() -> None:
        try:
            await anyio.sleep(1000)
        finally:
            seen.append("child")

    async def body() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(child)
            await anyio.sleep(1000)

    task = start(body)
    await asyncio.sleep(0.001)
    task.cancel()
    return await outcome(task), seen


@scenario
async def anyio_threads(start: Start) -> Any:
    async def body() -> int:
        return await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(double, 4))

    async def double(n: int) -> int:
        await anyio.lowlevel.checkpoint()
        return 2 * n

    return await outcome(start(body))


# ---- what is seen of the task


@scenario
async def current_task(start: Start) -> Any:
    async def body() -> Any:
        first = asyncio.current_task()
        await asyncio.sleep(0)
        return first is asyncio.current_task(), isinstance(first, asyncio.Task)

    outer = asyncio.current_task()
    task = start(body)
    return await outcome(task), outer is asyncio.current_task()


@scenario
async def all_tasks(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(1000)

    task = start(body)
    await asyncio.sleep(0)
    waiting = task in asyncio.all_tasks()
    task.cancel()
    await outcome(task)
    return waiting, task in asyncio.all_tasks()


@scenario
async def kinds(start: Start) -> Any:
    async def body() -> None:
        pass

    task = start(body)
    await outcome(task)
    return (
        isinstance(task, asyncio.Task), isinstance(task, asyncio.Future), asyncio.isfuture(task),
        asyncio.ensure_future(task) is task, task.get_loop() is asyncio.get_running_loop(),
    )  # fmt: skip


@scenario
async def names(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(0)

    task = start(body)
    first = isinstance(task.get_name(), str)
    task.set_name(7)
    await outcome(task)
    return first, task.get_name(), "7" in repr(task)


@scenario
async def coroutine_and_context(start: Start) -> Any:
    async def body() -> None:
        variable.set("inside")
        await asyncio.sleep(1000)

    task = start(body)
    await asyncio.sleep(0)
    new = hasattr(asyncio.Task, "get_context")  # 3.12
    seen = asyncio.iscoroutine(task.get_coro()), task.get_context()[variable] if new else ""
    task.cancel()
    await outcome(task)
    return seen


@scenario
async def context_isolation(start: Start) -> Any:
    async def body() -> Any:
        seen = [variable.get()]
        variable.set("inside")
        await asyncio.sleep(0)
        seen.append(variable.get())
        await asyncio.sleep(0.001)
        seen.append(variable.get())
        seen.append(await asyncio.ensure_future(child()))
        seen.append(variable.get())
        return seen

    async def child() -> str:
        seen = variable.get()
        variable.set("child")
        return seen

    return await outcome(start(body)), variable.get()


@scenario
async def callbacks(start: Start) -> Any:
    seen: list[Any] = []

    async def body() -> str:
        await asyncio.sleep(0.001)
        return "done"

    task = start(body)

    def first(done: Any) -> None:
        seen.append(("first", done is task, done.result()))

    def never(done: Any) -> None:
        seen.append("never")

    task.add_done_callback(never)
    task.add_done_callback(first)
    task.add_done_callback(never)
    seen.append(task.remove_done_callback(never))
    await outcome(task)
    task.add_done_callback(lambda done: seen.append("late"))
    seen.append(task.remove_done_callback(first))
    await asyncio.sleep(0)
    return seen


@scenario
async def callbacks_run_in_their_context(start: Start) -> Any:
    seen: list[str] = []

    async def body() -> None:
        variable.set("of the task")
        await asyncio.sleep(0)

    task = start(body)
    task.add_done_callback(lambda done: seen.append(variable.get()))
    context = contextvars.copy_context()
    context.run(variable.set, "given")
    task.add_done_callback(lambda done: seen.append(variable.get()), context=context)
    await outcome(task)
    return seen


@scenario
async def failing_callbacks(start: Start) -> Any:
    reported: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: reported.append(repr(context["exception"])))
    seen: list[str] = []

    async def body() -> None:
        await asyncio.sleep(0)

    def fail(done: Any) -> None:
        raise ZeroDivisionError("callback")

    task = start(body)
    task.add_done_callback(fail)
    task.add_done_callback(lambda done: seen.append("still called"))
    await outcome(task)
    await asyncio.sleep(0)
    return reported, seen


@scenario
async def removing_a_callback_with_a_strange_equality(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(0)

    class Strange:
        def __call__(self, done: Any) -> None: ...

        def __eq__(self, other: object) -> bool:
            if not compared:
                compared.append(1)
                task.remove_done_callback(repr)
            return False

        __hash__ = None  # type: ignore[assignment]

    compared: list[int] = []
    task = start(body)
    for _ in range(10):
        task.add_done_callback(repr)
    task.add_done_callback(Strange())
    removed = task.remove_done_callback(Strange())
    return removed, await outcome(task)


# ---- awaiting it


@scenario
async def awaited_by_another_task(start: Start) -> Any:
    async def body() -> str:
        await asyncio.sleep(0.001)
        return "value"

    task = start(body)

    async def other() -> Any:
        return await task

    return await asyncio.gather(other(), other(), task), await task


@scenario
async def awaited_error(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(0.001)
        raise ValueError("seen by both")

    task = start(body)
    try:
        await task
    except ValueError as error:
        return repr(error), repr(task.exception())


@scenario
async def awaited_stop_iteration_value(start: Start) -> Any:
    async def body() -> Any:
        return (1, 2)

    return await start(body)


@scenario
async def cancelling_who_awaits_it_cancels_it(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(1000)

    task = start(body)

    async def other() -> None:
        await task

    waiting = asyncio.ensure_future(other())
    await asyncio.sleep(0.001)
    waiting.cancel("handed on")
    return await outcome(waiting), (await outcome(task))[0]


@scenario
async def waited_for_with_a_timeout(start: Start) -> Any:
    async def body() -> None:
        await asyncio.sleep(1000)

    task = start(body)
    try:
        await asyncio.wait_for(task, 0.005)
    except TimeoutError:
        return await outcome(task)


@scenario
async def awaiting_itself(start: Start) -> Any:
    async def body() -> str:
        current = asyncio.current_task()
        assert current is not None
        await asyncio.sleep(0)
        try:
            await current
        except RuntimeError as error:
            return str(error).split(":")[0].split("<")[0]
        return "no"

    return await outcome(start(body))


@scenario
async def bad_yield(start: Start) -> Any:
    class Bad:
        def __await__(self) -> Generator[Any, Any, Any]:
            yield 42

    async def body() -> str:
        try:
            await Bad()
        except RuntimeError as error:
            return "got bad yield: 42" if "got bad yield: 42" in str(error) else str(error)
        return "no"

    return await outcome(start(body))


@scenario
async def bare_yield(start: Start) -> Any:
    class Turn:
        def __await__(self) -> Generator[Any, Any, Any]:
            return (yield)

    async def body() -> Any:
        return [await Turn() for _ in range(3)]

    return await outcome(start(body))


@scenario
async def future_of_another_loop(start: Start) -> Any:
    other = asyncio.new_event_loop()
    future = other.create_future()

    async def body() -> str:
        try:
            await future
        except RuntimeError as error:
            return str(error)[-30:]
        return "no"

    try:
        return await outcome(start(body))
    finally:
        other.close()


@scenario
async def future_without_a_loop_attribute(start: Start) -> Any:
    """A duck-typed future, as uvloop and others have had."""
    inner = asyncio.get_running_loop().create_future()

    class Duck:
        _asyncio_future_blocking = False

        def __getattr__(self, name: str) -> Any:
            if name == "_loop":
                raise AttributeError(name)
            return getattr(inner, name)

        def __await__(self) -> Generator[Any, Any, Any]:
            self._asyncio_future_blocking = True
            yield self
            return inner.result()

    async def body() -> Any:
        return await Duck()

    task = start(body)
    asyncio.get_running_loop().call_later(0.001, inner.set_result, "quack")
    return await outcome(task)
