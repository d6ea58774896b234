"""One case: its servers up at once, measured in turn."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import report
from bench.cases import Case
from bench.errors import UnavailableError
from bench.load.round import Round
from bench.load.wrk import wrk
from bench.peers import Peer, Variant
from bench.server import Server, free_port


@dataclass(frozen=True)
class Plan:
    """How long, how often, where."""

    rounds: int = 5
    seconds: int = 2
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
    tried: dict[str, float] = field(default_factory=dict)
    """CPU per request of each variant in the trial, in microseconds."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run_case(case: Case, peers: list[Peer], plan: Plan) -> dict[str, Any]:
    """Raw rounds and rows of a case. Servers that fail are left out, and named."""
    say(f"== {case.name}: {case.title}")
    left_out: dict[str, str] = {}
    entries: list[Entry] = []
    try:
        for peer in peers:
            if case.name not in peer.cases:
                continue
            try:
                entries.append(_start(case, peer, plan))
            except (UnavailableError, RuntimeError) as problem:
                left_out[peer.name] = str(problem)
                say(f"LEFT OUT: {problem}")
        _measure_peaks(case, entries, plan, left_out)
    finally:
        for entry in entries:
            entry.server.stop()
    return _results(case, [entry for entry in entries if entry.peak], left_out)


def _start(case: Case, peer: Peer, plan: Plan) -> Entry:
    versions = peer.versions()
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
        except UnavailableError as problem:
            say(f"LEFT OUT: {variant.label}: {problem}")
            continue
        try:
            wrk(server, plan.load_core, 1)
            rounds = [wrk(server, plan.load_core, 1) for _ in range(2)]
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


def _measure_peaks(case: Case, entries: list[Entry], plan: Plan, left_out: dict[str, str]) -> None:
    for number in range(plan.rounds + 1):  # the first one warms up: caches, interpreters
        for entry in [each for each in entries if each.peer.name not in left_out]:
            try:
                done = wrk(entry.server, plan.load_core, plan.seconds if number else 1)
                entry.server.check()
            except (UnavailableError, RuntimeError, OSError) as problem:
                left_out[entry.peer.name] = f"failed under load: {problem}"
                entry.peak.clear()
                say(f"LEFT OUT: {entry.peer.name} failed under load: {problem}")
                continue
            if number:
                entry.peak.append(done)
                say(
                    f"{case.name} {number}/{plan.rounds}  {entry.peer.name:20}"
                    f"{done.rps:10,.0f} requests/s {done.cpu_us_per_request:9.2f} us CPU"
                )


def _results(case: Case, entries: list[Entry], left_out: dict[str, str]) -> dict[str, Any]:
    rows = []
    for entry in entries:
        row = report.row(case.name, entry.peer.name, entry.peak)
        row["variant"] = entry.variant
        rows.append(row)
    report.add_ratios(rows)
    return {
        "case": case.name,
        "title": case.title,
        "left_out": left_out,
        "rows": rows,
        "servers": {
            entry.peer.name: {
                "versions": entry.versions,
                "command": entry.server.command,
                "variant": entry.variant,
                "variants_tried_us": {k: round(v, 2) for k, v in entry.tried.items()},
                "peak": [asdict(each) for each in entry.peak],
            }
            for entry in entries
        },
    }
