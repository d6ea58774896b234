"""A database file of each test's own, alias "sq", with a table. Each test's coroutine runs on our
loop and on asyncio's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import signals
from django.db import connections
from django.db.utils import ConnectionHandler

from quintette._quintette import Poller
from quintette.concurrency import patches
from quintette.db import pool
from quintette.db.sqlite3 import base, reading

Configure = Callable[..., Any]


def forget() -> None:
    """Whatever is known of alias "sq"."""
    if "sq" in connections.settings:
        connections["sq"]._close()
        del connections["sq"]
        del connections.settings["sq"]
    base._slow.pop("sq", None)
    # ATOMIC_REQUESTS connects them for good, and the tests of other folders count receivers.
    for signal in (signals.request_started, signals.request_finished):
        signal.disconnect(dispatch_uid=reading.__name__)


@pytest.fixture
def configure(tmp_path: Path) -> Iterator[Configure]:
    """Sets the database up with those OPTIONS and returns this thread's connection."""
    patches.install()

    def configured(name: str = "", atomic_requests: bool = False, **options: Any) -> Any:
        forget()
        settings = {
            "ENGINE": "quintette.db.sqlite3",
            "NAME": name or str(tmp_path / "db.sqlite3"),
            "ATOMIC_REQUESTS": atomic_requests,
            "OPTIONS": options,
        }
        connections.settings["sq"] = ConnectionHandler({"default": settings}).settings["default"]
        return connections["sq"]

    yield configured
    forget()


@pytest.fixture
def sq(configure: Configure) -> Any:
    """This thread's connection; the table "thing" is empty."""
    connection = configure()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE thing (id integer PRIMARY KEY, name text UNIQUE, n int)")
    return connection


def loop_with_poller() -> asyncio.AbstractEventLoop:
    poller = Poller()
    loop = asyncio.SelectorEventLoop(poller)
    poller.bind_loop(loop)
    return loop


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[loop_with_poller, asyncio.new_event_loop], ids=["poller", "asyncio"])
def run(request: pytest.FixtureRequest, configure: Configure) -> Iterator[Run]:
    """Runs a coroutine to its end. Afterwards nothing of the pool may be in use."""
    loop = request.param()

    async def within(coroutine: Coroutine[Any, Any, Any]) -> Any:
        async with asyncio.timeout(120):
            return await coroutine

    async def settle() -> pool.PoolStats | None:
        await asyncio.sleep(0)
        stats = None
        if "sq" in pool.pools_here():
            await pool.settled()
            stats = pool.stats()["sq"]
        await pool.drain()
        return stats

    yield lambda coroutine: loop.run_until_complete(within(coroutine))
    stats = loop.run_until_complete(settle())
    assert stats is None or (stats.in_use, stats.waiting, stats.open) == (0, 0, stats.idle), stats
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
