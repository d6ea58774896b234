"""CPU time and memory of processes, from the kernel's own books."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

# The clock ids of clock_getcpuclockid(3): the scheduler's sum for a process, in nanoseconds, with
# the time of its threads that have ended.
_CPUCLOCK_SCHED = 2


def cpu_by_pid(pids: list[int]) -> dict[int, int]:
    """CPU time of each process so far, in nanoseconds, without those that have ended."""
    times = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            times[pid] = time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
    return times


def cpu_ns(pids: list[int]) -> int:
    """CPU time of the processes so far; of one that has ended, none."""
    return sum(cpu_by_pid(pids).values())


def rss_mb(pids: list[int]) -> float:
    """Resident memory of the largest of the processes: the one that serves."""
    pages = []
    for pid in pids:
        with contextlib.suppress(OSError):
            pages.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]))
    return max(pages, default=0) * os.sysconf("SC_PAGE_SIZE") / 1e6
