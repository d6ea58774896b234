"""Measures a JSON hello: Quintette, its peers, and the limits of the machine.

One worker each, the server on core 0, the load on core 1, all servers up at once and measured in
turn (A B C, A B C, ...), so that a noisy neighbour hits all. Medians over the rounds; the raw
rounds go to bench/results/. The first figure is CPU per request of the server's processes: it
drifts least.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import servers
from measure import Round, wrk
from servers import Server, UnavailableError

SERVERS: list[Callable[[], Server]] = [
    servers.quintette,
    servers.fastapi,
    servers.nginx,
    servers.libq5,
]
RESULTS = Path(__file__).resolve().parent / "results"


def start_all(core: int) -> list[Server]:
    running: list[Server] = []
    for make in SERVERS:
        try:
            server = make()
            running.append(server)
            server.start(core)
        except UnavailableError as missing:
            if running and running[-1].process is not None:
                running.pop().stop()
            print(f"left out: {missing}", file=sys.stderr)
    return running


def measure(running: list[Server], options: argparse.Namespace) -> dict[str, list[Round]]:
    rounds: dict[str, list[Round]] = {server.name: [] for server in running}
    for server in running:  # warm up: caches, adaptive interpreters
        wrk(server, 1, options.connections, 1)
    for number in range(options.rounds):
        for server in running:
            result = wrk(server, 1, options.connections, options.seconds)
            rounds[server.name].append(result)
            print(
                f"round {number + 1}/{options.rounds}  {server.name:24}"
                f"{result.rps:10,.0f} requests/s {result.cpu_us_per_request:8.2f} us CPU",
                file=sys.stderr,
            )
    return rounds


def median(results: list[Round]) -> dict[str, float]:
    keys = asdict(results[0])
    return {key: statistics.median(getattr(result, key) for result in results) for key in keys}


def summarise(rounds: dict[str, list[Round]]) -> list[dict[str, object]]:
    medians = {name: median(results) for name, results in rounds.items()}
    ours = next(iter(medians.values()))["cpu_us_per_request"]
    rows: list[dict[str, object]] = []
    for name, m in medians.items():
        cpu = [r.cpu_us_per_request for r in rounds[name]]
        rows.append(
            {
                "case": "hello_json",
                "server": name,
                "cpu_us_per_request": round(m["cpu_us_per_request"], 2),
                "cpu_us_spread": [round(min(cpu), 2), round(max(cpu), 2)],
                "rps": round(m["rps"]),
                "p50_ms": round(m["p50_ms"], 3),
                "p99_ms": round(m["p99_ms"], 3),
                "rss_mb": round(m["rss_mb"], 1),
                "errors": sum(r.errors for r in rounds[name]),
                "ratio_to_quintette": round(m["cpu_us_per_request"] / ours, 2),
            }
        )
    return rows


def table(rows: list[dict[str, object]]) -> str:
    lines = [
        "| server | CPU per request | requests/s | p50 | p99 | memory |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines.extend(
        f"| {row['server']} | {row['cpu_us_per_request']} us | {row['rps']:,} "
        f"| {row['p50_ms']} ms | {row['p99_ms']} ms | {row['rss_mb']} MB |"
        for row in rows
    )
    return "\n".join(lines)


def machine() -> dict[str, object]:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--output", type=Path, default=RESULTS / "hello.json")
    options = parser.parse_args()
    running = start_all(core=0)
    try:
        rounds = measure(running, options)
        versions = {server.name: server.versions for server in running}
    finally:
        for server in running:
            server.stop()
    rows = summarise(rounds)
    report = {
        "command": f"bench/run.py --rounds {options.rounds} --seconds {options.seconds} "
        f"--connections {options.connections}",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions,
        "rows": rows,
        "rounds": {name: [asdict(r) for r in results] for name, results in rounds.items()},
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
