"""One round: a load for some seconds, what it achieved, and what it cost the server's processes."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from servers import Server, UnavailableError


@dataclass
class Round:
    requests: int
    seconds: float
    cpu_us_per_request: float
    rps: float
    p50_ms: float
    p99_ms: float
    errors: int
    rss_mb: float
    """Of the process that serves."""


def cpu_ns(pids: list[int]) -> int:
    """CPU time of all threads of the processes so far, from the scheduler's own accounting."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total += int(task.read_text().split()[0])
    return total


def rss_mb(pids: list[int]) -> float:
    pages = max(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * 4096 / 1e6


def wrk(server: Server, core: int, connections: int, seconds: int) -> Round:
    program = shutil.which("wrk")
    if program is None:
        raise UnavailableError("wrk is not installed (apt-get install wrk)")
    pids = server.pids()
    before = cpu_ns(pids)
    command = ["taskset", "-c", str(core), program, "-t1", f"-c{connections}"]
    command += [f"-d{seconds}s", "--latency", server.url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cpu = cpu_ns(pids) - before
    counted = re.search(r"(\d+) requests in ([\d.]+)(ms|s)", output)
    if counted is None:
        raise RuntimeError(f"wrk printed no count:\n{output}")
    requests = int(counted[1])
    took = float(counted[2]) / (1000 if counted[3] == "ms" else 1)
    return Round(
        requests=requests,
        seconds=took,
        cpu_us_per_request=cpu / 1000 / max(requests, 1),
        rps=requests / took,
        p50_ms=_latency(output, "50%"),
        p99_ms=_latency(output, "99%"),
        errors=_errors(output),
        rss_mb=rss_mb(pids),
    )


def _latency(output: str, percentile: str) -> float:
    found = re.search(rf"{re.escape(percentile)}\s+([\d.]+)(us|ms|s)", output)
    if found is None:
        raise RuntimeError(f"wrk printed no {percentile}:\n{output}")
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]


def _errors(output: str) -> int:
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    failed = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    return int(bad[1] if bad else 0) + sum(int(n) for n in (failed.groups() if failed else ()))
