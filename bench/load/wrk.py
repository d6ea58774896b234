"""One round with wrk: as many requests as the server answers."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from bench.errors import UnavailableError
from bench.load.request import wrk_script
from bench.load.round import Round, run
from bench.server import Server

TIMEOUT_MARGIN_S = 30
TIMEOUT_S = 10
"""Of one request, which counts as an error then."""


@dataclass
class Printed:
    """What wrk says of itself."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int


def wrk(server: Server, core: int, seconds: int) -> Round:
    program = shutil.which("wrk")
    if program is None:
        raise UnavailableError("wrk is not installed (apt-get install wrk)")
    case = server.case
    command = [program, "-t1", f"-c{case.connections}", f"-d{seconds}s", "--latency"]
    command += ["--timeout", f"{TIMEOUT_S}s"]
    if case.method != "GET" or case.headers():
        command += ["-s", str(wrk_script(case))]
    spent = run(server, core, [*command, server.url], seconds + TIMEOUT_MARGIN_S)
    came = read(spent.output)
    return Round(
        requests=came.requests,
        seconds=came.seconds,
        cpu_us_per_request=spent.server_cpu_ns / 1000 / max(came.requests, 1),
        rps=came.requests / came.seconds,
        p50_ms=came.p50_ms,
        p99_ms=came.p99_ms,
        errors=came.errors,
        rss_mb=spent.rss_mb,
        client_cpu=spent.client_cpu,
        database_cpu_us=spent.database_cpu_ns / 1000 / max(came.requests, 1),
    )


def read(output: str) -> Printed:
    """The numbers in wrk's report; RuntimeError when there are none."""
    counted = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", output)
    if counted is None:
        raise RuntimeError(f"wrk printed no count:\n{output}")
    return Printed(
        requests=int(counted[1]),
        seconds=float(counted[2]) * {"ms": 1e-3, "s": 1.0, "m": 60.0}[counted[3]],
        p50_ms=_latency(output, "50%"),
        p99_ms=_latency(output, "99%"),
        errors=_errors(output),
    )


def _latency(output: str, percentile: str) -> float:
    found = re.search(rf"{re.escape(percentile)}\s+([\d.]+)(us|ms|s|m)", output)
    if found is None:
        raise RuntimeError(f"wrk printed no {percentile}:\n{output}")
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[found[2]]


def _errors(output: str) -> int:
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    failed = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    return int(bad[1] if bad else 0) + sum(int(n) for n in (failed.groups() if failed else ()))
