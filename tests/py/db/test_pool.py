"""The pool by itself, over connections that are made up: bounds, order, ages, counts."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from quintette.concurrency import run as in_greenlet
from quintette.concurrency import wait_for
from quintette.db.pool import Kept, Pool, PoolOptions, PoolTimeoutError, parse_options


class Thing:
    def __init__(self, number: int) -> None:
        self.number = number
        self.dead = self.dirty = self.closed = False


class Things:
    """A source whose answers a test sets."""

    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.failing = 0
        self.cleanable = True

    def open(self) -> Thing:
        wait_for(asyncio.sleep(0))
        if self.failing:
            self.failing -= 1
            raise OSError("refused")
        thing = Thing(len(self.made))
        self.made.append(thing)
        return thing

    def alive(self, item: Thing) -> bool:
        return not item.dead

    def probe(self, item: Thing) -> bool:
        wait_for(asyncio.sleep(0))
        return item.number != 13

    def spotless(self, item: Thing) -> bool:
        return not item.dirty

    def clean(self, item: Thing) -> bool:
        wait_for(asyncio.sleep(0))
        item.dirty = not self.cleanable
        return self.cleanable

    def close(self, item: Thing) -> None:
        assert not item.closed
        item.closed = True


class Holder:
    def __init__(self, name: str = "somebody", *, gives_up: bool = False) -> None:
        self.name = name
        self.gives_up = gives_up
        self.kept: tuple[Pool[Thing], Kept[Thing]] | None = None

    def describe(self) -> str:
        return self.name

    def give_up(self) -> bool:
        if not self.gives_up or self.kept is None:
            return False
        (pool, kept), self.kept = self.kept, None
        pool.release(kept)
        return True

    async def borrow(self, pool: Pool[Thing]) -> Kept[Thing]:
        kept: Kept[Thing] = await in_greenlet(pool.borrow, self)
        self.kept = pool, kept
        return kept


def pool_of(**options: Any) -> Pool[Thing]:
    return Pool(Things(), PoolOptions(**options), "default")


def counts(pool: Pool[Thing]) -> tuple[int, int, int, int]:
    """Open, idle, in use, waiting."""
    stats = pool.stats()
    assert stats.open == stats.idle + stats.in_use + stats.cleaning + stats.opening
    return stats.open, stats.idle, stats.in_use, stats.waiting


def alone(main: Any) -> Any:
    """Runs it on asyncio's loop: the pool knows no other."""

    def test(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(main(*args, **kwargs), 20))

    test.__name__, test.__doc__ = main.__name__, main.__doc__
    return test


@alone
async def test_lends_the_one_that_was_used_last() -> None:
    pool, one, other = pool_of(), Holder(), Holder()
    first, second = await one.borrow(pool), await other.borrow(pool)
    pool.release(first)
    pool.release(second)
    assert await one.borrow(pool) is second
    assert counts(pool) == (2, 1, 1, 0)


@alone
async def test_never_opens_more_than_its_size() -> None:
    pool = pool_of(size=3)
    holders = [Holder() for _ in range(50)]

    async def use(holder: Holder) -> None:
        kept = await holder.borrow(pool)
        assert pool.stats().open <= 3
        await asyncio.sleep(0)
        pool.release(kept)

    await asyncio.gather(*[use(holder) for holder in holders])
    assert counts(pool) == (3, 3, 0, 0)
    assert pool.stats().borrowed == 50


@alone
async def test_serves_in_the_order_of_asking() -> None:
    pool = pool_of(size=1)
    order: list[int] = []

    async def use(i: int) -> None:
        kept = await (holder := Holder()).borrow(pool)
        order.append(i)
        await asyncio.sleep(0)
        pool.release(kept)
        # Asks again at once, and must not come before those who wait already.
        kept = await holder.borrow(pool)
        order.append(i)
        pool.release(kept)

    await asyncio.gather(*[use(i) for i in range(20)])
    assert order == [*range(20), *range(20)]


@alone
async def test_a_timeout_names_the_setting_and_the_holders() -> None:
    pool, holder = pool_of(size=1, timeout=0.05), Holder("the report")
    await holder.borrow(pool)
    with pytest.raises(PoolTimeoutError, match=r"0\.05 s.*'loop_pool'.*'size'.*the report"):
        await Holder().borrow(pool)
    assert pool.stats().timeouts == 1
    assert counts(pool) == (1, 0, 1, 0)


@alone
async def test_the_queue_is_bounded() -> None:
    pool, holder = pool_of(size=1, max_waiting=2), Holder()
    kept = await holder.borrow(pool)
    waiting = [asyncio.create_task(Holder().borrow(pool)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(PoolTimeoutError, match="already 2 wait"):
        await Holder().borrow(pool)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    pool.release(kept)
    assert counts(pool) == (1, 1, 0, 0)


@alone
async def test_who_is_cancelled_while_waiting_takes_nothing_with_it() -> None:
    pool, holder, last = pool_of(size=1), Holder(), Holder()
    kept = await holder.borrow(pool)
    tasks = [asyncio.create_task(Holder().borrow(pool)) for _ in range(3)]
    waiting = asyncio.create_task(last.borrow(pool))
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    pool.release(kept)  # handed to the first, who is cancelled before it has run
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await waiting is kept
    assert counts(pool) == (1, 0, 1, 0)


@alone
async def test_dead_ones_are_replaced() -> None:
    pool, holder = pool_of(size=1), Holder()
    kept = await holder.borrow(pool)
    pool.release(kept)
    kept.item.dead = True
    assert (await holder.borrow(pool)).item.number == 1
    assert kept.item.closed
    assert (pool.stats().found_dead, counts(pool)) == (1, (1, 0, 1, 0))


@alone
async def test_one_found_dead_when_it_is_handed_over_is_replaced() -> None:
    pool, holder, other = pool_of(size=1), Holder(), Holder()
    kept = await holder.borrow(pool)
    waiting = asyncio.create_task(other.borrow(pool))
    await asyncio.sleep(0)
    kept.item.dead = True
    pool.release(kept)
    assert (await waiting).item.number == 1
    assert counts(pool) == (1, 0, 1, 0)


@alone
async def test_a_failure_to_open_leaves_the_place_to_the_next() -> None:
    pool, other = pool_of(size=1), Holder()
    pool.source.failing = 1  # type: ignore[attr-defined]
    failing = asyncio.create_task(Holder().borrow(pool))
    waiting = asyncio.create_task(other.borrow(pool))
    with pytest.raises(OSError, match="refused"):
        await failing
    assert (await waiting).item.number == 0
    assert counts(pool) == (1, 0, 1, 0)


@alone
async def test_old_ones_are_not_lent_again() -> None:
    pool, holder = pool_of(max_lifetime=0.01), Holder()
    kept = await holder.borrow(pool)
    kept.opened_at -= 1
    pool.release(kept)
    assert kept.item.closed
    assert counts(pool) == (0, 0, 0, 0)


@alone
async def test_idle_ones_are_closed() -> None:
    pool, holder = pool_of(max_idle=0.05), Holder()
    kept = await holder.borrow(pool)
    pool.release(kept)
    async with asyncio.timeout(60):
        while not kept.item.closed:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert counts(pool) == (0, 0, 0, 0)


@alone
async def test_long_idle_ones_are_asked() -> None:
    pool, holder = pool_of(probe_after=1), Holder()
    kept = await holder.borrow(pool)
    kept.item.number = 13
    pool.release(kept)
    kept.since -= 2
    assert await holder.borrow(pool) is not kept
    assert kept.item.closed


@alone
async def test_dirty_ones_are_cleaned_before_anybody_gets_them() -> None:
    pool, holder, other = pool_of(size=1), Holder(), Holder()
    kept = await holder.borrow(pool)
    kept.item.dirty = True
    pool.release(kept)
    assert pool.stats().cleaning == 1
    assert await other.borrow(pool) is kept
    assert not kept.item.dirty


@alone
async def test_what_cannot_be_cleaned_is_closed_and_its_place_filled() -> None:
    pool, holder, other = pool_of(size=1), Holder(), Holder()
    pool.source.cleanable = False  # type: ignore[attr-defined]
    kept = await holder.borrow(pool)
    kept.item.dirty = True
    pool.release(kept)
    assert (await other.borrow(pool)).item.number == 1
    assert kept.item.closed
    assert counts(pool) == (1, 0, 1, 0)


@alone
async def test_idle_holders_give_up_theirs_to_who_waits() -> None:
    pool, idle, other = pool_of(size=1), Holder(gives_up=True), Holder()
    kept = await idle.borrow(pool)
    assert await other.borrow(pool) is kept
    assert (pool.stats().reclaimed, idle.kept) == (1, None)


@alone
async def test_a_holder_that_becomes_idle_later_is_noticed() -> None:
    pool, holder, other = pool_of(size=1), Holder(), Holder()
    kept = await holder.borrow(pool)
    waiting = asyncio.create_task(other.borrow(pool))
    await asyncio.sleep(0)
    assert pool.pressed
    holder.gives_up = True
    pool.relieve_soon(kept)
    assert await waiting is kept


@alone
async def test_a_holder_that_is_forgotten_loses_it_to_the_pool() -> None:
    pool, other = pool_of(size=1), Holder()

    async def forget() -> None:
        await in_greenlet(pool.borrow, Holder())

    await asyncio.create_task(forget())
    gc.collect()
    assert (await other.borrow(pool)).item.number == 0


@alone
async def test_closing_closes_the_idle_now_and_the_others_when_they_return() -> None:
    pool, one, other = pool_of(), Holder(), Holder()
    first, second = await one.borrow(pool), await other.borrow(pool)
    pool.release(first)
    pool.close()
    assert first.item.closed
    assert not second.item.closed
    pool.release(second)
    assert second.item.closed
    assert counts(pool) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, r"size"),
        ({"sise": 3}, r"sise"),
        ({"timeout": -1}, r"timeout"),
        ({"reset": "sometimes"}, r"sometimes"),
        ([], r"\['loop_pool'\]"),
    ],
)
def test_mistakes_in_the_options_are_named(options: Any, message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=message):
        parse_options("default", options)
