"""The PostgreSQL connections of compiled queries: settings, figures, the end."""

from __future__ import annotations

import asyncio
import weakref
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from quintette import _quintette
from quintette.db.options import parse

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
# drain() closes what is opened meanwhile as well, but not for ever.
ROUNDS_MAX = 8

_loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``OPTIONS["compiled_pool"]``; times in seconds."""

    size: Annotated[int, Meta(ge=1, le=1_000)] = 4
    timeout: Seconds = 30.0
    connect_timeout: Seconds = 5.0
    max_waiting: Annotated[int, Meta(ge=1, le=1_000_000)] = 4096
    max_lifetime: Seconds = 3600.0
    max_idle: Seconds = 300.0
    max_prepared: Annotated[int, Meta(ge=64, le=100_000)] = 256

    def described(self) -> dict[str, int]:
        """For C; milliseconds, and none of them 0, which would be no bound."""
        return {
            "connections_max": self.size,
            "timeout_msec": _msec(self.timeout),
            "connect_timeout_msec": _msec(self.connect_timeout),
            "waiting_max": self.max_waiting,
            "idle_msec": _msec(self.max_idle),
            "lifetime_msec": _msec(self.max_lifetime),
            "prepared_max": self.max_prepared,
        }


def _msec(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def parse_options(alias: str, value: object) -> Options:
    """ImproperlyConfigured names the key that is wrong."""
    return parse(alias, "compiled_pool", value, Options)


class Stats(msgspec.Struct, frozen=True):
    """Of one database's connections on one loop. The first four are of now, the others count since
    the pool was made."""

    connections: int
    connecting: int
    waiting: int
    """Queries that no connection has taken yet."""
    in_flight: int
    queries: int
    prepares: int
    connects: int
    connect_failures: int
    lost: int
    """Connections."""
    retries: int
    errors: int
    timeouts: int
    cancels: int
    refused: int
    """Queries, as too many were waiting."""


def note_loop() -> None:
    """The running loop is about to have a pool."""
    _loops.add(asyncio.get_running_loop())


def _pools_of(loop: asyncio.AbstractEventLoop) -> dict[str, _quintette.PgPool]:
    return _quintette.pg_pools(getattr(loop, "_selector", None))


def stats() -> dict[str, Stats]:
    """Of the running loop's connections, by the database's alias; a database whose compiled
    queries have not run here yet is not among them."""
    pools = _pools_of(asyncio.get_running_loop())
    return {alias: Stats(**pool.stats()) for alias, pool in pools.items()}


async def drain() -> None:
    """Closes the running loop's; a query under way fails with OperationalError."""
    loop = asyncio.get_running_loop()
    for _ in range(ROUNDS_MAX):
        # A task that has just got its result runs inside the poller, which is in use until then.
        await asyncio.sleep(0)
        pools = _pools_of(loop)
        if not pools:
            return
        for pool in pools.values():
            pool.close()


def close_alias(alias: str) -> None:
    """The same for one database, on every loop: a test database is about to be dropped."""
    for loop in list(_loops):
        if loop.is_running():
            loop.call_soon_threadsafe(_close, loop, alias)
        else:
            _close(loop, alias)


def _close(loop: asyncio.AbstractEventLoop, alias: str) -> None:
    pool: Any = _pools_of(loop).get(alias)
    if pool is not None:
        pool.close()
