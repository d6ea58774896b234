"""A bounded, fair pool of connections on one event loop.

What is kept, and how it is opened, checked and put in order, is the source's business. A pool is
used by its loop's thread alone; `borrow` waits, so it needs a greenlet (`can_wait`), `release`
never does.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import logging
import weakref
from collections import deque
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

import msgspec
from django.db import OperationalError
from msgspec import Meta

from quintette._quintette import Wait, wait_for
from quintette.concurrency import run
from quintette.db.compiled import engines
from quintette.db.compiled import pools as compiled_pools
from quintette.db.options import parse

T = TypeVar("T")
DAY_SECONDS = 86_400
# What may take this long without anybody waiting for its result: putting a connection in order.
CLEANING_SECONDS = 5.0
# Who waits looks this often whether a holder has become idle without telling.
RELIEF_SECONDS = 0.05
# Holders that the message about an exhausted pool names.
NAMED_HOLDERS = 5

Seconds = Annotated[float, Meta(gt=0, le=DAY_SECONDS)]
logger = logging.getLogger("quintette.db.pool")


class PoolOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``OPTIONS["loop_pool"]``; times in seconds."""

    size: Annotated[int, Meta(ge=1, le=10_000)] = 10
    timeout: Seconds = 30.0
    max_waiting: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    max_lifetime: Seconds = 3600.0
    max_idle: Seconds = 600.0
    probe_after: Seconds = 60.0
    reset: Literal["auto", "always", "never"] = "auto"


def parse_options(alias: str, value: object) -> PoolOptions:
    """ImproperlyConfigured names the key that is wrong."""
    return parse(alias, "loop_pool", value, PoolOptions)


class PoolTimeoutError(OperationalError):
    """No connection became free in time. The message says which setting bounds them, and who holds
    them."""


class Source(Protocol[T]):
    """Of the kept. Those that may wait are called in a greenlet."""

    def open(self) -> T:
        """May wait; raises what it will."""

    def alive(self, item: T) -> bool:
        """Whether the peer is still there, as far as can be told at once."""

    def probe(self, item: T) -> bool:
        """The same by a round trip. May wait."""

    def spotless(self, item: T) -> bool:
        """Nothing of its last holder would reach the next one."""

    def clean(self, item: T) -> bool:
        """Makes it spotless; False: it cannot be. May wait."""

    def close(self, item: T) -> None: ...


class Holder(Protocol):
    def describe(self) -> str:
        """For the message about an exhausted pool."""

    def give_up(self) -> bool:
        """Returns to the pool what is not in use, if that goes unnoticed."""


class PoolStats(msgspec.Struct):
    """`open` = `idle` + `in_use` + `cleaning` + `opening`; the others count since the pool was
    made."""

    size: int = 0
    open: int = 0
    idle: int = 0
    in_use: int = 0
    cleaning: int = 0
    opening: int = 0
    waiting: int = 0
    borrowed: int = 0
    waited: int = 0
    wait_seconds: float = 0.0
    timeouts: int = 0
    opened: int = 0
    closed: int = 0
    found_dead: int = 0
    cleaned: int = 0
    reclaimed: int = 0


class Kept(Generic[T]):
    """One place of a pool. It belongs to the pool, or from borrow() to release() to a holder."""

    __slots__ = ("__weakref__", "holder", "item", "opened_at", "since")

    def __init__(self, item: T, now: float) -> None:
        self.item = item
        self.opened_at = now
        self.since = now  # of its being idle, or being held
        self.holder: weakref.ref[Holder] | None = None


class Pool(Generic[T]):
    def __init__(self, source: Source[T], options: PoolOptions, name: str) -> None:
        self.source = source
        self.options = options
        self.name = name
        self.loop = asyncio.get_running_loop()
        self.closed = False
        self._thread = _thread.get_ident()
        self._idle: list[Kept[T]] = []  # the last one was used last
        self._held: set[Kept[T]] = set()
        # In order of arrival, at most max_waiting, each until then (the loop's time). What they get
        # is one, or None: a place in which to open one.
        self._waiting: deque[tuple[Wait, float]] = deque()
        self._expiry: asyncio.TimerHandle | None = None
        # They have just finished something while the pool was pressed.
        self._candidates: list[Kept[T]] = []
        # One task for each connection that is being put in order.
        self.cleaning: set[asyncio.Task[None]] = set()
        # Open, being opened, or handed to somebody who has yet to run.
        self._places = 0
        self._stats = PoolStats(size=options.size)
        self._relief: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    # --- borrowing --------------------------------------------------------------------------------

    def borrow(self, holder: Holder) -> Kept[T]:
        """Waits for one. The holder returns it; if it is gone before, the pool takes it back."""
        kept = self._obtain()
        kept.since = self.loop.time()
        kept.holder = weakref.ref(holder, lambda _: self._lost(kept))
        self._held.add(kept)
        self._stats.borrowed += 1
        return kept

    def _obtain(self) -> Kept[T]:
        while not self._waiting and self._idle:
            kept = self._idle.pop()
            if self._usable(kept):
                return kept
            self._discard(kept)
        if not self._waiting and self._places < self.options.size:
            self._places += 1
            return self._open()
        handed = self._wait()
        if handed is not None:
            if self._usable(handed):
                return handed
            self._close(handed)
        return self._open()

    def _usable(self, kept: Kept[T]) -> bool:
        now = self.loop.time()
        if self._expired(kept, now):
            return False
        try:
            alive = self.source.alive(kept.item) and (
                now - kept.since < self.options.probe_after or self.source.probe(kept.item)
            )
        except BaseException:
            self._discard(kept)
            raise
        self._stats.found_dead += not alive
        return alive

    def _open(self) -> Kept[T]:
        """In a place that this borrower has."""
        try:
            item = self.source.open()
        except BaseException:
            self._vacated()
            raise
        self._stats.opened += 1
        return Kept(item, self.loop.time())

    def _wait(self) -> Kept[T] | None:
        if len(self._waiting) >= self.options.max_waiting:
            raise PoolTimeoutError(self._explain(f"already {len(self._waiting)} wait for one"))
        waiter = Wait()
        started = self.loop.time()
        place = waiter, started + self.options.timeout
        self._waiting.append(place)
        if self._expiry is None:
            self._expire_at(started + self.options.timeout)
        if self._relief is None:
            self._relieve_all()
        self._stats.waited += 1
        try:
            handed: Kept[T] | None = wait_for(waiter)
        except BaseException:
            if waiter.done() and not waiter.cancelled() and not waiter.expired:
                self._take_back(waiter.result())
            with contextlib.suppress(ValueError):
                self._waiting.remove(place)
            raise
        finally:
            self._stats.wait_seconds += self.loop.time() - started
        if waiter.expired:
            self._stats.timeouts += 1
            reason = f"none became free within {self.options.timeout:g} s"
            raise PoolTimeoutError(self._explain(reason))
        return handed

    def _expire_at(self, when: float) -> None:
        self._expiry = self.loop.call_at(when, self._expire)

    def _expire(self) -> None:
        """One timer for all: who came first is the first whose time is over."""
        self._expiry = None
        now = self.loop.time()
        while self._waiting:
            waiter, deadline = self._waiting[0]
            if deadline > now and not waiter.done():
                self._expire_at(deadline)
                return
            self._waiting.popleft()
            waiter.expire()

    def _take_back(self, handed: Kept[T] | None) -> None:
        if handed is not None:
            self._hand_on(handed)
        else:
            self._vacated()

    # --- returning --------------------------------------------------------------------------------

    def release(self, kept: Kept[T]) -> None:
        """Takes one back, whatever its state; never waits. Its holder calls this once, in whatever
        thread."""
        if _thread.get_ident() != self._thread:
            self._lost(kept)
            return
        self._held.discard(kept)
        kept.holder = None
        if self.closed or self._expired(kept, self.loop.time()):
            self._discard(kept)
        elif self.source.spotless(kept.item):
            self._hand_on(kept)
        else:
            task = self.loop.create_task(self._clean(kept), name=f"clean {self.name}")
            self.cleaning.add(task)
            task.add_done_callback(self.cleaning.discard)

    def _lost(self, kept: Kept[T]) -> None:
        # In another thread than the loop's: where a holder was collected, maybe.
        if kept in self._held:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self.release, kept)

    async def _clean(self, kept: Kept[T]) -> None:
        clean = False
        try:
            async with asyncio.timeout(CLEANING_SECONDS):
                clean = await run(self.source.clean, kept.item)
        except (OSError, TimeoutError) as error:
            logger.warning("A connection to %s could not be reset: %r", self.name, error)
        finally:
            self._stats.cleaned += clean
            if clean and not self.closed:
                self._hand_on(kept)
            else:
                self._discard(kept)

    def _hand_on(self, kept: Kept[T]) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.finish(kept)
            return
        kept.since = self.loop.time()
        self._idle.append(kept)
        if self._sweeping is None:
            self._sweeping = self.loop.call_later(self.options.max_idle, self._sweep)

    def _discard(self, kept: Kept[T]) -> None:
        self._close(kept)
        self._vacated()

    def _close(self, kept: Kept[T]) -> None:
        self.source.close(kept.item)
        self._stats.closed += 1

    def _vacated(self) -> None:
        """A place is free: the first who waits may open one in it."""
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.finish(None)
        else:
            self._places -= 1

    def _next_waiter(self) -> Wait | None:
        while self._waiting:
            waiter, _deadline = self._waiting.popleft()
            if not waiter.done():  # cancelled
                return waiter
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        return None

    def _expired(self, kept: Kept[T], now: float) -> bool:
        return now - kept.opened_at > self.options.max_lifetime

    def _sweep(self) -> None:
        self._sweeping = None
        now = self.loop.time()
        idle, self._idle = self._idle, []
        for kept in idle:
            if now - kept.since >= self.options.max_idle or self._expired(kept, now):
                self._discard(kept)
            else:
                self._idle.append(kept)
        if self._idle:
            soonest = self._idle[0].since + self.options.max_idle
            self._sweeping = self.loop.call_at(soonest, self._sweep)

    # --- those who wait, and those who hold without need ------------------------------------------

    @property
    def pressed(self) -> bool:
        """Somebody waits."""
        return bool(self._waiting)

    def relieve_soon(self, kept: Kept[T]) -> None:
        """Its holder has finished something while the pool is pressed."""
        if not self._candidates:
            self.loop.call_soon(self._relieve_soon)
        self._candidates.append(kept)

    def _relieve_soon(self) -> None:
        candidates, self._candidates = self._candidates, []
        self._relieve(candidates)

    def _relieve_all(self) -> None:
        """Now, and again while somebody waits: not every holder tells when it becomes idle."""
        self._relief = None
        self._relieve(list(self._held))
        if self._waiting:
            self._relief = self.loop.call_later(RELIEF_SECONDS, self._relieve_all)

    def _relieve(self, held: list[Kept[T]]) -> None:
        for kept in held:
            if not self._waiting:
                return
            holder = kept.holder and kept.holder()
            if holder and holder.give_up():
                self._stats.reclaimed += 1

    def _explain(self, reason: str) -> str:
        now = self.loop.time()
        held = sorted(self._held, key=lambda kept: kept.since)
        lines = [
            f"{now - kept.since:.1f} s: {holder.describe()}"
            for kept in held[:NAMED_HOLDERS]
            if (holder := kept.holder and kept.holder())
        ]
        if len(held) > NAMED_HOLDERS:
            lines.append(f"and {len(held) - NAMED_HOLDERS} more")
        holders = f" Held for {'; '.join(lines)}." if lines else ""
        option = f"DATABASES[{self.name!r}]['OPTIONS']['loop_pool']"
        return (
            f"No connection to database {self.name!r}: {reason}; all {self.options.size} are in "
            f"use ({option}['size']).{holders}"
        )

    # --- the whole --------------------------------------------------------------------------------

    def stats(self) -> PoolStats:
        settled = len(self._idle) + len(self._held) + len(self.cleaning)
        return msgspec.structs.replace(
            self._stats,
            open=self._places,
            idle=len(self._idle),
            in_use=len(self._held),
            cleaning=len(self.cleaning),
            opening=max(0, self._places - settled),
            waiting=sum(not waiter.done() for waiter, _deadline in self._waiting),
        )

    def close(self) -> None:
        """Closes what is idle now, and the rest when it returns. Those who wait go on to wait for
        a place."""
        self.closed = True
        idle, self._idle = self._idle, []
        for kept in idle:
            self._discard(kept)
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    async def drain(self) -> None:
        """close(), and waits for the connections that are being put in order."""
        self.close()
        if self.cleaning:
            await asyncio.wait(self.cleaning)


# --- the pools of a process -----------------------------------------------------------------------

_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Pool[Any]]] = (
    weakref.WeakKeyDictionary()
)


def pools_here() -> dict[str, Pool[Any]]:
    """By alias: those of the running loop."""
    loop = asyncio.get_running_loop()
    pools = _pools.get(loop)
    if pools is None:
        pools = _pools[loop] = {}
    return pools


def stats() -> dict[str, PoolStats]:
    """Of the running loop's pools, by the database's alias."""
    return {alias: pool.stats() for alias, pool in pools_here().items()}


def close_alias(alias: str) -> None:
    """Closes the pools of that database on every loop: a test database is about to be dropped.
    Those of compiled queries too."""
    compiled_pools.close_alias(alias)
    for pools in list(_pools.values()):
        pool = pools.pop(alias, None)
        if pool is None:
            continue
        if pool.loop.is_running():
            pool.loop.call_soon_threadsafe(pool.close)
        else:
            pool.close()


async def settled() -> None:
    """Returns when no connection of the running loop's is being put in order."""
    while cleaning := [task for pool in pools_here().values() for task in pool.cleaning]:
        await asyncio.wait(cleaning)


async def drain() -> None:
    """Closes the running loop's pools: the process, or the loop, is about to end. Those of compiled
    queries too, and this thread's connections of theirs to SQLite."""
    await compiled_pools.drain()
    engines.close_files()
    pools = pools_here()
    while pools:
        await pools.popitem()[1].drain()
