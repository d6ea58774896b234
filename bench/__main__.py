"""The command line of the bench."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from bench import cases, peers, report
from bench.apps import static
from bench.machine import machine
from bench.places import RESULTS, STATIC
from bench.run import Plan, run_case


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--case", action="append", choices=list(cases.BY_NAME))
    parser.add_argument("--server", action="append", choices=list(peers.BY_NAME))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    static.make(STATIC)
    chosen = [peers.BY_NAME[name] for name in options.server or peers.BY_NAME]
    plan = Plan(rounds=options.rounds, seconds=options.seconds)
    for name in options.case or cases.BY_NAME:
        results = run_case(cases.BY_NAME[name], chosen, plan)
        results["machine"] = machine()
        results["when"] = datetime.now(UTC).isoformat(timespec="seconds")
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
        print(f"\n### {results['title']}\n")
        print(report.table(results["rows"], {p.name: p.title for p in peers.ALL}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
