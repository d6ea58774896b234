"""One round at a fixed rate, with the generator of openloop.c."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bench.errors import UnavailableError
from bench.load.request import raw
from bench.load.round import CLIENT_BOUND, run
from bench.places import BUILD
from bench.server import Server

PROGRAM = BUILD / "load" / "openloop"
TIMEOUT_MARGIN_S = 30
HELD = 0.99
"""Of the requests that were due, so many must be answered for the rate to count as held."""


@dataclass
class RateRound:
    rate: float
    """Requests due per second."""
    requests: int
    """Answered."""
    cpu_us_per_request: float
    p50_ms: float
    p99_ms: float
    """From the moment a request was due."""
    max_ms: float
    errors: int
    held: bool
    client_cpu: float
    client_bound: bool


def openloop(server: Server, core: int, rate: float, seconds: int) -> RateRound:
    if not PROGRAM.exists():
        raise UnavailableError("the generator is not built (make bench builds it)")
    rate = max(1.0, round(rate))
    command = [str(PROGRAM), str(server.port), str(server.case.connections), str(rate)]
    command += [str(seconds), str(raw(server))]
    spent = run(server, core, command, seconds + TIMEOUT_MARGIN_S)
    came = json.loads(spent.output)
    return RateRound(
        rate=rate,
        requests=came["requests"],
        cpu_us_per_request=spent.server_cpu_ns / 1000 / max(came["requests"], 1),
        p50_ms=came["p50_ms"],
        p99_ms=came["p99_ms"],
        max_ms=came["max_ms"],
        errors=came["failed"] + came["unanswered"],
        held=came["requests"] - came["late"] >= HELD * rate * seconds,
        client_cpu=spent.client_cpu,
        client_bound=spent.client_cpu >= CLIENT_BOUND,
    )
