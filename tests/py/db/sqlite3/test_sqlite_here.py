"""Which wrappers there are where a request begins and ends, beside what Django finds."""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections, transaction

from quintette.concurrency import run as in_greenlet
from quintette.concurrency import wait_for


def both() -> tuple[dict[str, Any], dict[str, Any]]:
    storage: Any = connections._connections  # type: ignore[attr-defined]
    known = {
        alias: getattr(storage, alias) for alias in connections.settings if hasattr(storage, alias)
    }
    # There may be some left of databases that the settings know no longer.
    here = {
        alias: found for alias, found in storage.here().items() if alias in connections.settings
    }
    return here, known


def test_in_a_thread(sq: Any) -> None:
    here, known = both()
    assert here == known
    assert here["sq"] is sq


def test_on_a_loop(sq: Any, run: Any) -> None:
    async def main() -> None:
        here, known = both()
        assert here == known
        assert "sq" not in here
        mine = connections["sq"]
        here, known = both()
        assert here == known
        assert here["sq"] is mine
        # A task has its own.
        here, known = await asyncio.create_task(in_greenlet(both))
        assert here == known
        assert "sq" not in here
        here, known = await sync_to_async(both, thread_sensitive=False)()
        assert here == known

    run(main())


def test_in_anothers_transaction(sq: Any, run: Any) -> None:
    def parent() -> None:
        with transaction.atomic(using="sq"):
            here, known = wait_for(asyncio.get_running_loop().create_task(in_greenlet(both)))
            assert here == known
            assert here["sq"] is connections["sq"]

    async def main() -> None:
        await in_greenlet(parent)

    run(main())
