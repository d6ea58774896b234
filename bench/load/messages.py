"""Rounds of messages over connections that stay open: WebSocket echoes, events to subscribers.

The generators say when their connections are open and hold them until the CPU has been counted
(bench/load/phases.h). A request of the tables is a message that came back, or an event that came
to one subscriber.
"""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.accounting import cpu_ns, rss_mb
from bench.errors import UnavailableError
from bench.load.openloop import HELD, RateRound
from bench.load.round import CLIENT_BOUND, Round
from bench.places import BUILD
from bench.server import Server

OPEN_TIMEOUT_S = 40.0
TIMEOUT_MARGIN_S = 30.0


@dataclass
class Came:
    """What a generator counted, and what it cost the server."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int
    client_cpu: float
    cpu_us_per_request: float
    rss_mb: float


def websocket_peak(server: Server, core: int, seconds: int) -> Round:
    """Each connection sends when its last message has come back."""
    return _round(_websocket(server, core, 0, seconds))


def websocket_rate(server: Server, core: int, rate: float, seconds: int) -> RateRound:
    rate = max(1.0, round(rate))
    return _rate_round(_websocket(server, core, rate, seconds), rate, seconds)


def events_peak(server: Server, core: int, seconds: int) -> Round:
    """The next event is published when the last has come to all."""
    return _round(_events(server, core, 0, seconds))


def events_rate(server: Server, core: int, rate: float, seconds: int) -> RateRound:
    """So many deliveries a second, in whole events to all subscribers."""
    subscribers = server.case.connections
    publications = max(1.0, round(rate / subscribers))
    came = _events(server, core, publications, seconds)
    return _rate_round(came, publications * subscribers, seconds)


def _websocket(server: Server, core: int, rate: float, seconds: int) -> Came:
    case = server.case
    arguments = [server.port, case.connections, rate, seconds, len(case.message), server.path]
    return _held(server, core, "ws_echo", arguments, seconds)


def _events(server: Server, core: int, publications: float, seconds: int) -> Came:
    case = server.case
    arguments = [server.port, case.connections, publications, seconds, len(case.message)]
    paths = [server.path, case.publish]
    return _held(server, core, "sse_broadcast", [*arguments, *paths], seconds)


def _held(server: Server, core: int, name: str, arguments: Sequence[object], seconds: int) -> Came:
    program = BUILD / "load" / name
    if not program.exists():
        raise UnavailableError("the generator is not built (make bench builds it)")
    process = subprocess.Popen(
        ["taskset", "-c", str(core), str(program), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _line(process, OPEN_TIMEOUT_S)
        assert process.stdin is not None
        before = cpu_ns(server.pids())
        process.stdin.write("\n")
        process.stdin.flush()
        came = json.loads(_line(process, seconds + TIMEOUT_MARGIN_S))
        pids = server.pids()
        spent, memory = cpu_ns(pids) - before, rss_mb(pids)
        process.communicate(timeout=TIMEOUT_MARGIN_S)
    finally:
        process.kill()
        process.wait()
    return Came(
        requests=came["requests"],
        seconds=came["seconds"],
        p50_ms=came["p50_ms"],
        p99_ms=came["p99_ms"],
        max_ms=came["max_ms"],
        errors=came["failed"] + came["unanswered"] + came["lost"],
        client_cpu=came["client_cpu_s"] / came["seconds"],
        cpu_us_per_request=spent / 1000 / max(came["requests"], 1),
        rss_mb=memory,
    )


def _line(process: subprocess.Popen[str], timeout_s: float) -> str:
    """The next line that the generator prints; RuntimeError when it ends without one."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], timeout_s)
    line = process.stdout.readline() if readable else ""
    if not line:
        process.kill()
        said = process.communicate()[1].strip()
        name = Path(str(process.args[3])).name if isinstance(process.args, list) else "it"
        raise RuntimeError(f"{name} failed: {said or f'nothing came in {timeout_s:g} s'}")
    return line


def _round(came: Came) -> Round:
    return Round(
        requests=came.requests,
        seconds=came.seconds,
        cpu_us_per_request=came.cpu_us_per_request,
        rps=came.requests / came.seconds,
        p50_ms=came.p50_ms,
        p99_ms=came.p99_ms,
        errors=came.errors,
        rss_mb=came.rss_mb,
        client_cpu=came.client_cpu,
    )


def _rate_round(came: Came, rate: float, seconds: int) -> RateRound:
    return RateRound(
        rate=rate,
        requests=came.requests,
        cpu_us_per_request=came.cpu_us_per_request,
        p50_ms=came.p50_ms,
        p99_ms=came.p99_ms,
        max_ms=came.max_ms,
        errors=came.errors,
        held=came.requests >= HELD * rate * seconds,
        client_cpu=came.client_cpu,
        client_bound=came.client_cpu >= CLIENT_BOUND,
    )
