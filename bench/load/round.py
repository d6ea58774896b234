"""What one round of load came to, and the accounting around it."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from dataclasses import dataclass

from bench.accounting import cpu_by_pid, cpu_ns, rss_mb
from bench.database import POSTGRESQL, back_ends
from bench.server import Server

CLIENT_BOUND = 0.95
"""A load generator that used so much of its core was the limit, not the server."""


@dataclass
class Round:
    requests: int
    seconds: float
    cpu_us_per_request: float
    """Of all processes of the server."""
    rps: float
    p50_ms: float
    p99_ms: float
    errors: int
    rss_mb: float
    """Of the process that serves."""
    client_cpu: float
    """Share of its core that the load generator used, 0 to 1."""
    database_cpu_us: float = 0.0
    """Per request, of PostgreSQL's back ends: no part of the server's."""


@dataclass
class Spent:
    """What a command printed, and what it cost both sides."""

    output: str
    server_cpu_ns: int
    client_cpu: float
    rss_mb: float
    database_cpu_ns: int


def run(server: Server, core: int, command: list[str], timeout_s: float) -> Spent:
    """Run a load generator on a core."""
    database = BackEnds(server.case.database, core)
    before, children = cpu_ns(server.pids()), _children_s()
    started = time.monotonic()
    done = subprocess.run(
        ["taskset", "-c", str(core), *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    took = time.monotonic() - started
    pids = server.pids()
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr or done.stdout}")
    return Spent(
        done.stdout,
        cpu_ns(pids) - before,
        (_children_s() - children) / took,
        rss_mb(pids),
        database.spent_ns(),
    )


class BackEnds:
    """PostgreSQL's processes for our database: moved to the core of the load, and counted."""

    def __init__(self, database: str, core: int) -> None:
        self._used = database == POSTGRESQL
        pids = back_ends() if self._used else []
        for pid in pids:
            # They are another user's: only the superuser may move them.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(pid, {core})
        self._before = cpu_by_pid(pids)

    def spent_ns(self) -> int:
        """CPU since then, of those that are still there."""
        now = cpu_by_pid(back_ends()) if self._used else {}
        return sum(time_ns - self._before.get(pid, 0) for pid, time_ns in now.items())


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
