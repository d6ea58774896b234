"""Synchronous code in greenlets: what it shares with the task that runs it, and what is its own."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.utils import timezone, translation

from quintette.concurrency import can_wait, in_thread, patches, sleep, wait_for
from quintette.concurrency import run as in_greenlet

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


def turns(count: int = 3) -> None:
    """Lets everybody else have a turn, that many times."""
    for _ in range(count):
        wait_for(asyncio.sleep(0))


async def awaiting(func: Callable[..., Any], *args: Any) -> Any:
    return await in_greenlet(func, *args)


def test_gives_the_result_and_raises_the_error(run: Any) -> None:
    async def main() -> None:
        assert await in_greenlet(lambda a, b: (a, b), 1, b=(2, 3)) == (1, (2, 3))
        with pytest.raises(ZeroDivisionError):
            await in_greenlet(lambda: 1 / 0)

    run(main())


def test_waits_for_an_awaitable_while_others_run(run: Any) -> None:
    log = []

    def waiting(name: str) -> str:
        for i in range(3):
            log.append((name, i))
            turns(1)
        return name

    async def main() -> None:
        assert await asyncio.gather(*[awaiting(waiting, name) for name in "ab"]) == ["a", "b"]

    run(main())
    assert log == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_errors_of_what_is_awaited_are_raised_where_it_waits(run: Any) -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise LookupError("no")

    def waiting() -> str:
        try:
            wait_for(failing())
        except LookupError as error:
            return str(error)
        return "nothing"

    assert run(awaiting(waiting)) == "no"


def test_context_variables_belong_to_the_task(run: Any) -> None:
    def waiting(value: int) -> None:
        variable.set(value)
        turns()
        assert variable.get() == value

    async def one(value: int) -> None:
        await in_greenlet(waiting, value)
        assert variable.get() == value  # it was set in this task's context

    async def main() -> None:
        await asyncio.gather(*[one(i) for i in range(1, 100)])
        assert variable.get() == 0

    run(main())


def test_language_and_time_zone_are_apart(run: Any) -> None:
    def waiting(language: str, zone: str) -> None:
        with translation.override(language), timezone.override(zone):
            turns()
            assert translation.get_language() == language
            assert timezone.get_current_timezone_name() == zone

    async def main() -> None:
        before = translation.get_language()
        await asyncio.gather(
            awaiting(waiting, "de", "Europe/Berlin"),
            awaiting(waiting, "ja", "Asia/Tokyo"),
            *[awaiting(waiting, "fr", "Europe/Paris") for _ in range(10)],
        )
        assert translation.get_language() == before

    run(main())


def test_thread_local_data_is_apart_as_between_threads(run: Any) -> None:
    local = threading.local()
    local.value = "the loop's"

    def waiting(value: int) -> None:
        assert getattr(local, "value", None) in (None, *range(100))  # of an earlier call at most
        local.value = value
        turns()
        assert local.value == value

    async def main() -> None:
        await asyncio.gather(*[awaiting(waiting, i) for i in range(100)])

    run(main())
    assert local.value == "the loop's"


def replaced(owner: list[threading.local]) -> threading.local:
    """Ends the only one in the list; a new one, at its address if the allocator has it so."""
    address = id(owner.pop())
    others = [threading.local()]
    while id(others[-1]) != address and len(others) < 10_000:
        others.append(threading.local())
    others[-1].value = "its maker's"
    return others[-1]


def test_thread_local_data_of_a_waiting_greenlet_ends_with_its_owner(run: Any) -> None:
    owner, another = [threading.local()], []

    def waiting() -> None:
        owner[0].value = object()
        turns()
        assert not hasattr(another[0], "value")

    async def main() -> None:
        task = asyncio.create_task(awaiting(waiting))
        await asyncio.sleep(0)
        another.append(replaced(owner))
        await task

    run(main())


def test_thread_local_data_of_the_loop_ends_with_its_owner(run: Any) -> None:
    owner = [threading.local()]
    owner[0].value = object()
    another = run(awaiting(replaced, owner))
    assert not hasattr(another, "value")


def test_is_the_task_that_awaits(run: Any) -> None:
    async def main() -> None:
        task = asyncio.current_task()

        def waiting() -> None:
            assert asyncio.current_task() is task
            turns()
            assert asyncio.current_task() is task

        await in_greenlet(waiting)

    run(main())


def test_handled_exceptions_are_apart(run: Any) -> None:
    seen = []

    def handling(number: int) -> None:
        try:
            raise LookupError(number)
        except LookupError as error:
            turns()
            seen.append(sys.exception() is error)
        assert sys.exception() is None

    async def main() -> None:
        await asyncio.gather(*[awaiting(handling, i) for i in range(20)])
        assert sys.exception() is None

    run(main())
    assert seen == [True] * 20


def test_cancelling_unwinds_the_synchronous_stack(run: Any) -> None:
    log = []

    def waiting() -> None:
        try:
            sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        finally:
            turns()  # cleaning up may wait
            log.append("finally")

    async def main() -> None:
        task = asyncio.create_task(awaiting(waiting))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await in_greenlet(sleep, 60)

    run(main())
    assert log == ["cancelled", "finally"]


def test_a_timeout_of_the_waiting_code(run: Any) -> None:
    def waiting() -> None:
        with pytest.raises(TimeoutError):
            wait_for(asyncio.sleep(60), timeout=0.01)

    run(awaiting(waiting))


def test_one_that_is_dropped_is_closed(run: Any) -> None:
    log = []

    def waiting() -> None:
        try:
            sleep(60)
        finally:
            log.append("unwound")
            with pytest.raises(RuntimeError, match="being closed"):
                sleep(1)

    async def main() -> None:
        for end in (lambda call: call.close(), lambda call: None):
            call = in_greenlet(waiting)
            call.send(None)
            end(call)
            del call
            gc.collect()

    run(main())
    assert log == ["unwound", "unwound"]


def test_recursion_and_generators(run: Any) -> None:
    def deep(depth: int) -> int:
        if depth == 0:
            turns()
            return 0
        return 1 + deep(depth - 1)

    def numbers() -> Any:
        for i in range(5):
            turns(1)
            yield i

    async def main() -> None:
        depth = sys.getrecursionlimit() - 200
        assert await asyncio.gather(*[awaiting(deep, depth) for _ in range(3)]) == [depth] * 3
        with pytest.raises(RecursionError):
            await in_greenlet(deep, sys.getrecursionlimit() + 1)
        sums = await asyncio.gather(*[awaiting(lambda: sum(numbers())) for _ in range(10)])
        assert sums == [10] * 10

    run(main())


def test_async_to_sync_and_back_within(run: Any) -> None:
    patches.install()

    async def inner(value: int) -> int:
        await asyncio.sleep(0)
        assert await in_greenlet(can_wait)
        main_thread = threading.get_ident()
        assert await sync_to_async(threading.get_ident)() != main_thread
        variable.set(value)
        return value * 2

    def outer(value: int) -> int:
        result = async_to_sync(inner)(value)
        assert variable.get() == value
        return result

    async def main() -> None:
        results = await asyncio.gather(*[awaiting(outer, i) for i in range(1, 20)])
        assert results == [i * 2 for i in range(1, 20)]

    run(main())


def test_in_thread(run: Any) -> None:
    def waiting() -> None:
        variable.set(7)
        assert in_thread(threading.get_ident) != threading.get_ident()
        assert in_thread(variable.get) == 7
        with pytest.raises(ZeroDivisionError):
            in_thread(lambda: 1 / 0)

    run(awaiting(waiting))


def test_waiting_elsewhere_is_refused(run: Any) -> None:
    assert not can_wait()
    with pytest.raises(RuntimeError, match="only code in a greenlet"):
        wait_for(None)  # type: ignore[arg-type]

    async def main() -> None:
        assert not can_wait()
        with pytest.raises(RuntimeError, match="only code in a greenlet"):
            wait_for(asyncio.get_running_loop().create_future())

    run(main())


def test_it_is_awaited_once(run: Any) -> None:
    async def main() -> None:
        call = in_greenlet(lambda: 1)
        await call
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await call

    run(main())


def test_stop_iteration_does_not_look_like_a_result(run: Any) -> None:
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        run(awaiting(lambda: next(iter(()))))


def test_nothing_is_kept_of_a_call(run: Any) -> None:
    class Thing:
        pass

    local = threading.local()
    kept: contextvars.ContextVar[Thing] = contextvars.ContextVar("kept")

    def waiting(thing: Thing) -> Thing:
        kept.set(thing)
        local.thing = [thing]
        turns()
        del local.thing
        return thing

    async def main() -> list[weakref.ref[Thing]]:
        things = [Thing() for _ in range(3)]
        await asyncio.gather(*[asyncio.create_task(awaiting(waiting, thing)) for thing in things])
        return [weakref.ref(thing) for thing in things]

    references = run(main())
    gc.collect()
    assert [reference() for reference in references] == [None] * 3
