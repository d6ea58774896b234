"""CPU per request of each way in which the C poller and asyncio can share a thread, and of running
a handler in a Task of asyncio's. Interleaved rounds, medians; the basis of decisions 1 and 2."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict
from pathlib import Path

from measure import Round, wrk
from servers import HERE, Server, free_port

RESULTS = HERE / "results" / "loop_integration.json"
CASES = [
    ("our poller is the selector, stepped directly", "selector", "/hello"),
    ("our descriptor watched by uvloop, stepped directly", "uvloop", "/hello"),
    ("our descriptor watched by asyncio's loop, stepped directly", "asyncio", "/hello"),
    ("selector, plus an eager asyncio.Task per request", "selector", "/eager-task"),
    ("selector, plus an ordinary asyncio.Task per request", "selector", "/task"),
    ("selector, a handler that waits one turn", "selector", "/wait"),
    ("uvloop, a handler that waits one turn", "uvloop", "/wait"),
]


def start(way: str, path: str) -> Server:
    port = free_port()
    script = str(HERE / "apps" / "loop_variants.py")
    server = Server(way, [sys.executable, script, way, str(port)], port, {}, path)
    server.start(core=0)
    return server


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    running = [(label, start(way, path)) for label, way, path in CASES]
    rounds: dict[str, list[Round]] = {label: [] for label, _ in running}
    try:
        for _ in range(options.rounds):
            for label, server in running:
                rounds[label].append(wrk(server, 1, 64, options.seconds))
    finally:
        for _, server in running:
            server.stop()
    print("| way | us of CPU per request | spread |\n|---|---:|---:|")
    for label, results in rounds.items():
        cpu = [result.cpu_us_per_request for result in results]
        spread = f"{min(cpu):.2f}-{max(cpu):.2f}"
        print(f"| {label} | {statistics.median(cpu):.2f} | {spread} |")
    raw = {label: [asdict(result) for result in results] for label, results in rounds.items()}
    Path(RESULTS).write_text(json.dumps(raw, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
