"""CPU per request of each way in which the C poller and asyncio can share a thread, and of running
a handler in a Task of asyncio's. Interleaved rounds, medians; the basis of decisions 1 and 2.

    build/bench/venv/bin/python -m bench.loop_integration
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict

from bench.apps import payloads
from bench.case import Case
from bench.load.round import Round
from bench.load.wrk import wrk
from bench.places import RESULTS
from bench.server import Launch, Server, free_port

OUTPUT = RESULTS / "loop_integration.json"
CASES = [
    ("our poller is the selector, stepped directly", "selector", "/hello"),
    ("our descriptor watched by uvloop, stepped directly", "uvloop", "/hello"),
    ("our descriptor watched by asyncio's loop, stepped directly", "asyncio", "/hello"),
    ("selector, plus an eager asyncio.Task per request", "selector", "/eager-task"),
    ("selector, plus an ordinary asyncio.Task per request", "selector", "/task"),
    ("selector, a handler that waits one turn", "selector", "/wait"),
    ("uvloop, a handler that waits one turn", "uvloop", "/wait"),
]


def start(label: str, way: str, path: str) -> Server:
    port = free_port()
    case = Case(f"loop-{way}-{path[1:]}", label, path, payloads.HELLO)
    command = [sys.executable, "-m", "bench.apps.loop_variants", way, str(port)]
    server = Server(way, case, port, Launch(command))
    server.start(core=0)
    return server


def main() -> int:
    parser = argparse.ArgumentParser(description="The ways of sharing a thread with asyncio.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    running: list[tuple[str, Server]] = []
    rounds: dict[str, list[Round]] = {label: [] for label, _, _ in CASES}
    try:
        for label, way, path in CASES:
            running.append((label, start(label, way, path)))
        for _ in range(options.rounds):
            for label, server in running:
                rounds[label].append(wrk(server, 1, options.seconds))
    finally:
        for _, server in running:
            server.stop()
    print("| way | us of CPU per request | spread |\n|---|---:|---:|")
    for label, results in rounds.items():
        cpu = [result.cpu_us_per_request for result in results]
        spread = f"{min(cpu):.2f}-{max(cpu):.2f}"
        print(f"| {label} | {statistics.median(cpu):.2f} | {spread} |")
    raw = {label: [asdict(result) for result in results] for label, results in rounds.items()}
    OUTPUT.write_text(json.dumps(raw, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
