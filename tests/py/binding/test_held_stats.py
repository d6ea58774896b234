"""The counts of what held a server's event loop; tests/py/server/test_watchdog.py has the rest."""

from __future__ import annotations

import time
from typing import Any

from wire import LiveServer, Reply, async_router, poller_of, until

from quintette._quintette import Poller, Server, Watchdog


def nothing(*_: object) -> None:
    pass


def test_counts_for_its_own_server_alone() -> None:
    async def view(request: Any) -> Reply:
        time.sleep(0.5)  # noqa: ASYNC251
        return Reply(b"")

    with LiveServer(router=async_router("/"), django_async=view, django_sync=view) as live:
        watchdog = Watchdog(poller_of(live.loop), 250, nothing, nothing, nothing)
        live.call(watchdog.start)
        other = Server(Poller())
        began = time.monotonic()
        live.get("/")
        until(lambda: live.server.stats()["held"] == 1)
        took_msec = 1000 * (time.monotonic() - began)
        stats = live.server.stats()
        assert 250 <= stats["held_longest_msec"] == stats["held_msec"] <= took_msec
        assert (other.stats()["held"], other.stats()["held_msec"]) == (0, 0)
        other.close()
        watchdog.stop()
        assert live.server.stats()["held"] == 0
