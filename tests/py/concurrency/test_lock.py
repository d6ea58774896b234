"""quintette.concurrency.Lock: greenlets, coroutines and threads get it in the order of asking."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import pytest

from quintette.concurrency import Lock, sleep
from quintette.concurrency import run as in_greenlet

# For what a test waits for in another thread; it is over at once.
SECONDS = 60


def test_free_and_held() -> None:
    lock = Lock()
    assert not lock.locked()
    assert lock.acquire()
    assert lock.locked()
    assert not lock.acquire(blocking=False)
    assert not lock.acquire(timeout=0)
    lock.release()
    assert not lock.locked()
    with lock:
        assert lock.locked()
    assert not lock.locked()


def test_release_of_what_is_not_held() -> None:
    with pytest.raises(RuntimeError, match="not held"):
        Lock().release()


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(1e300, OverflowError), (math.inf, OverflowError), (math.nan, ValueError)],
)
def test_wrong_timeouts(timeout: float, error: type[Exception]) -> None:
    lock = Lock()
    with pytest.raises(error, match="timeout is"):
        lock.acquire(timeout=timeout)
    assert not lock.locked()


def test_the_time_is_over_in_a_thread() -> None:
    lock = Lock()
    lock.acquire()
    assert not lock.acquire(timeout=0.01)
    lock.release()
    assert lock.acquire(timeout=0.01)


def test_it_is_released_where_the_body_fails() -> None:
    lock = Lock()
    with pytest.raises(ValueError, match="wrong"), lock:
        raise ValueError("wrong")
    assert not lock.locked()


def test_greenlets_and_coroutines_in_order(run: Any) -> None:
    async def main() -> list[int]:
        lock, order = Lock(), list[int]()

        def greenlet(number: int) -> None:
            with lock:
                sleep(0)
                order.append(number)

        async def coroutine(number: int) -> None:
            async with lock:
                await asyncio.sleep(0)
                order.append(number)

        await lock.__aenter__()
        tasks = []
        for number in range(20):
            waits = coroutine(number) if number % 3 else in_greenlet(greenlet, number)
            tasks.append(asyncio.ensure_future(waits))
            await asyncio.sleep(0)
        assert order == []
        lock.release()
        await asyncio.gather(*tasks)
        assert not lock.locked()
        return order

    assert run(main()) == list(range(20))


def test_nobody_comes_in_between(run: Any) -> None:
    """A lock that somebody waits for goes to the first, not to who asks just then."""

    async def main() -> None:
        lock = Lock()
        lock.acquire()
        first = asyncio.ensure_future(lock.__aenter__())
        await asyncio.sleep(0)
        lock.release()
        assert lock.locked()
        assert not lock.acquire(blocking=False)
        await first
        lock.release()

    run(main())


def test_the_time_is_over_in_a_greenlet(run: Any) -> None:
    async def main() -> None:
        lock = Lock()
        lock.acquire()
        assert not await in_greenlet(lambda: lock.acquire(timeout=0.01))
        # It left no trace in the queue.
        lock.release()
        assert not lock.locked()

    run(main())


async def held_with_two_waiting() -> tuple[Lock, asyncio.Future[bool], asyncio.Future[bool]]:
    lock = Lock()
    lock.acquire()
    first, second = (asyncio.ensure_future(lock.__aenter__()) for _ in range(2))
    await asyncio.sleep(0)
    return lock, first, second


def test_a_cancelled_one_leaves_the_queue(run: Any) -> None:
    async def main() -> None:
        lock, first, second = await held_with_two_waiting()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        lock.release()
        assert await second
        lock.release()
        assert not lock.locked()

    run(main())


def test_one_that_is_cancelled_as_it_gets_it(run: Any) -> None:
    async def main() -> None:
        lock, first, second = await held_with_two_waiting()
        lock.release()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second
        lock.release()

    run(main())


def test_a_coroutine_must_not_wait_synchronously(run: Any) -> None:
    async def main() -> None:
        lock = Lock()
        lock.acquire()
        with pytest.raises(RuntimeError, match="use `async with`"):
            lock.acquire()
        lock.release()

    run(main())


def test_between_a_loop_and_a_thread(run: Any) -> None:
    lock, order = Lock(), list[str]()

    def other() -> None:
        with lock:
            order.append("thread")

    async def main() -> None:
        lock.acquire()
        waiting = asyncio.ensure_future(asyncio.to_thread(other))
        order.append("loop")
        lock.release()
        async with lock:
            order.append("loop again")
        await waiting

    run(asyncio.wait_for(main(), SECONDS))
    assert order[0] == "loop"
    assert sorted(order[1:]) == ["loop again", "thread"]
    assert not lock.locked()


def test_a_thread_wakes_the_loop(run: Any) -> None:
    lock = Lock()

    async def main() -> None:
        lock.acquire()
        waiting = asyncio.ensure_future(lock.__aenter__())
        await asyncio.sleep(0)
        await asyncio.to_thread(lock.release)
        assert await waiting
        lock.release()

    run(asyncio.wait_for(main(), SECONDS))


def test_many_threads() -> None:
    lock, inside, seen = Lock(), 0, 0

    def work() -> None:
        nonlocal inside, seen
        for _ in range(200):
            with lock:
                inside += 1
                assert inside == 1
                seen += 1
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert seen == 1600
