"""Threads of requests come back to the pool in working order."""

from __future__ import annotations

import gc
from typing import Any

from quintette.server.threads import RequestThreads, _Lease

SECONDS = 60


def test_a_thread_that_a_cycle_held_works_on() -> None:
    """Collected with its lease, an executor lives on in the pool: its thread must, too."""
    pool = RequestThreads(4, lambda: None)
    cycle: list[Any] = [_Lease(pool)]
    assert cycle[0].worker.submit(int, "1").result(SECONDS) == 1
    cycle.append(cycle)
    del cycle
    gc.collect()
    worker = pool.take()
    assert worker.submit(int, "2").result(SECONDS) == 2
    pool.give_back(worker)
    pool.close()
