"""One case: its servers up at once, measured in turn."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from http.client import HTTPException
from typing import Any

from bench import database, report
from bench.away import Relay
from bench.case import Case
from bench.errors import UnavailableError
from bench.load.kinds import LOADS
from bench.load.openloop import RateRound
from bench.load.round import Round
from bench.peers import Peer, Variant
from bench.server import Server, free_port


@dataclass(frozen=True)
class Plan:
    """How long, how often, where."""

    rounds: int = 5
    seconds: int = 2
    rate_rounds: int = 3
    rate_seconds: int = 1
    server_core: int = 0
    load_core: int = 1


@dataclass
class Entry:
    """A server that runs, and what is known of it."""

    peer: Peer
    variant: str
    server: Server
    versions: dict[str, str]
    peak: list[Round] = field(default_factory=list)
    half: list[RateRound] = field(default_factory=list)
    common: list[RateRound] = field(default_factory=list)
    tried: dict[str, float] = field(default_factory=dict)
    """CPU per request of each variant in the trial, in microseconds."""

    def peak_rps(self) -> float:
        return statistics.median(each.rps for each in self.peak)


COMMON_SHARE = 0.8
"""The common rate, as a share of the slowest peer's peak."""
FAILURES = (UnavailableError, RuntimeError, OSError, HTTPException, subprocess.TimeoutExpired)
"""What a peer may do to us without the others' being lost."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Ring:
    """The servers of a case that still stand, measured in turn."""

    def __init__(self, case: Case, left_out: dict[str, str]) -> None:
        self.case = case
        self.entries: list[Entry] = []
        self.left_out = left_out

    def leave_out(self, name: str, problem: object) -> None:
        self.left_out[name] = str(problem)
        say(f"LEFT OUT: {name}: {problem}")

    def turn(self, what: str, rounds: int, load: Callable[[Entry], str]) -> None:
        """So many rounds of a load; a server that fails in one is stopped and left out."""
        for number in range(1, rounds + 1):
            for entry in list(self.entries):
                try:
                    came = load(entry)
                except FAILURES as problem:
                    entry.server.stop()
                    self.entries.remove(entry)
                    self.leave_out(entry.peer.name, f"failed under load: {problem}")
                    continue
                say(f"{self.case.name} {what} {number}/{rounds}  {entry.peer.name:20}{came}")

    def stop(self) -> None:
        for entry in self.entries:
            entry.server.stop()


def run_case(case: Case, peers: list[Peer], plan: Plan) -> dict[str, Any]:
    """Raw rounds and rows of a case. Servers that fail are left out, and named."""
    say(f"== {case.name}: {case.title}")
    ring = Ring(case, {})
    relay = Relay(case)
    with contextlib.ExitStack() as at_the_end:
        at_the_end.callback(relay.stop)
        at_the_end.callback(ring.stop)
        _start_all(ring, relay, [peer for peer in peers if case.name in peer.cases], plan)
        _measure_peaks(plan, ring)
        _measure_rates(plan, ring)
    return _results(case, ring)


def _start_all(ring: Ring, relay: Relay, peers: list[Peer], plan: Plan) -> None:
    """What stands between the servers and their database, then the servers."""
    try:
        case = relay.start(plan.load_core)
    except FAILURES as problem:
        for peer in peers:
            ring.leave_out(peer.name, problem)
        return
    for peer in peers:
        try:
            ring.entries.append(_start(case, peer, plan))
        except FAILURES as problem:
            ring.leave_out(peer.name, problem)


def _start(case: Case, peer: Peer, plan: Plan) -> Entry:
    versions = peer.versions()
    if case.database:
        database.prepare(case.database)
        versions |= database.server_version(case.database)
    tried: dict[str, float] = {}
    variant = peer.variants[0]
    if len(peer.variants) > 1:
        tried = _try_variants(case, peer, plan)
        variant = min(peer.variants, key=lambda each: tried.get(each.label, float("inf")))
    server = _launch(case, peer, variant, plan)
    say(f"up: {peer.name}{f' ({variant.label})' if variant.label else ''}")
    return Entry(peer, variant.label, server, versions, tried=tried)


def _try_variants(case: Case, peer: Peer, plan: Plan) -> dict[str, float]:
    """CPU per request of each configuration, the better of two short rounds."""
    tried: dict[str, float] = {}
    for variant in peer.variants:
        try:
            server = _launch(case, peer, variant, plan)
        except FAILURES as problem:
            say(f"LEFT OUT: {peer.name}, {variant.label}: {problem}")
            continue
        try:
            load = LOADS[case.load].peak
            load(server, plan.load_core, 1)
            rounds = [load(server, plan.load_core, 1) for _ in range(2)]
            tried[variant.label] = min(each.cpu_us_per_request for each in rounds)
        finally:
            server.stop()
        say(f"tried: {peer.name}, {variant.label}: {tried[variant.label]:.2f} us CPU")
    return tried


def _launch(case: Case, peer: Peer, variant: Variant, plan: Plan) -> Server:
    port = free_port()
    server = Server(peer.name, case, port, variant.launch(case, port))
    server.start(plan.server_core)
    return server


def _measure_peaks(plan: Plan, ring: Ring) -> None:
    peak = LOADS[ring.case.load].peak

    def load(entry: Entry) -> str:
        done = peak(entry.server, plan.load_core, plan.seconds)
        entry.server.check()
        entry.peak.append(done)
        return f"{done.rps:10,.0f} requests/s {done.cpu_us_per_request:9.2f} us CPU"

    # Caches and adaptive interpreters.
    ring.turn("warm-up", 1, lambda entry: f"{peak(entry.server, plan.load_core, 1).rps:10,.0f}")
    ring.turn("peak", plan.rounds, load)


def _measure_rates(plan: Plan, ring: Ring) -> None:
    peers = [entry.peak_rps() for entry in ring.entries if not entry.peer.limit]
    at_rate = LOADS[ring.case.load].rate
    common = COMMON_SHARE * min(peers, default=0.0)

    def half(entry: Entry) -> str:
        rate = entry.peak_rps() / 2
        done = at_rate(entry.server, plan.load_core, rate, plan.rate_seconds)
        entry.half.append(done)
        return f"{done.rate:10,.0f} due/s {done.p99_ms:9.2f} ms p99"

    def same(entry: Entry) -> str:
        done = at_rate(entry.server, plan.load_core, common, plan.rate_seconds)
        entry.common.append(done)
        return f"{done.rate:10,.0f} due/s {done.cpu_us_per_request:9.2f} us CPU"

    ring.turn("half", plan.rate_rounds, half)
    if common:
        ring.turn("common", plan.rate_rounds, same)


def _results(case: Case, ring: Ring) -> dict[str, Any]:
    rows = []
    for entry in ring.entries:
        row = report.row(case.name, entry.peer.name, entry.peak)
        row |= report.half_peak(entry.half) if entry.half else {}
        row |= report.common_rate(entry.common) if entry.common else {}
        row["variant"] = entry.variant
        rows.append(row)
    report.add_ratios(rows)
    return {
        "case": case.name,
        "title": case.title,
        "left_out": ring.left_out,
        "rows": rows,
        "servers": {
            entry.peer.name: {
                "versions": entry.versions,
                "command": entry.server.command,
                "variant": entry.variant,
                "variants_tried_us": {k: round(v, 2) for k, v in entry.tried.items()},
                "peak": [asdict(each) for each in entry.peak],
                "half": [asdict(each) for each in entry.half],
                "common": [asdict(each) for each in entry.common],
            }
            for entry in ring.entries
        },
    }
