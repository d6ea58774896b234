"""The command line of the bench."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import cases, floors, peers, report
from bench.apps import static
from bench.chart import chart
from bench.machine import machine
from bench.places import DOCS, RESULTS, STATIC
from bench.run import Plan, run_case, say
from bench.signals import exit_on_termination

DESCRIPTION = """Measures Quintette, its peers and the limits of the machine, one worker each.

Server on core 0, load on core 1; the servers of a case are all up and measured in turn. Each case
has three parts: the peak (wrk), latency at half of each server's own peak, and CPU at one rate
that the slowest peer holds (the last two with an open-loop generator). First figure: CPU per
request of the server's processes. Results go to OUTPUT, a file a case, with table.md and chart.svg
over all cases that have results there.
"""
QUICK = {"rounds": 2, "seconds": 1, "rate_rounds": 1}
MARKS = ("<!-- bench: begin -->", "<!-- bench: end -->")
PICTURE = "![CPU per request, by case and server](images/bench.svg)"
NOT_MEASURING_S = 2.5
"""Per server and case: start, warm-up, stop; roughly."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plan = Plan()
    parser.add_argument("--list", action="store_true", help="cases, servers, time; measure nothing")
    parser.add_argument("--case", action="append", choices=list(cases.BY_NAME), metavar="NAME")
    parser.add_argument("--server", action="append", choices=list(peers.BY_NAME), metavar="NAME")
    for option, least, value, meaning in (
        ("--rounds", 1, plan.rounds, "of the peak"),
        ("--seconds", 1, plan.seconds, "of one such round"),
        ("--rate-rounds", 0, plan.rate_rounds, "at each of the two rates"),
        ("--rate-seconds", 1, plan.rate_seconds, "of one such round"),
        ("--server-core", 0, plan.server_core, "where the servers run"),
        ("--load-core", 0, plan.load_core, "where the load runs"),
    ):
        text = f"{meaning} (%(default)s)"
        parser.add_argument(option, type=at_least(least), default=value, help=text, metavar="N")
    parser.add_argument("--quick", action="store_true", help="a glance: few, short rounds")
    parser.add_argument("--output", type=Path, default=RESULTS, help="a folder (bench/results)")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write OUTPUT's tables and chart into docs/, measure nothing",
    )
    parser.add_argument(
        "--check-floors",
        type=Path,
        nargs="*",
        metavar="RESULTS.json",
        help="judge results (default: all in OUTPUT), measure nothing; 1 if one is missed",
    )
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args()


def at_least(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"at least {least}, not {number}")
        return number

    return whole


def chosen(options: argparse.Namespace) -> tuple[list[cases.Case], list[peers.Peer]]:
    return (
        [cases.BY_NAME[name] for name in options.case or cases.BY_NAME],
        [peers.BY_NAME[name] for name in options.server or peers.BY_NAME],
    )


def minutes(options: argparse.Namespace) -> float:
    """Roughly, of all that was chosen."""
    each = options.rounds * options.seconds + 2 * options.rate_rounds * options.rate_seconds
    some_cases, some_peers = chosen(options)
    seconds = 0.0
    for case in some_cases:
        for peer in some_peers:
            if case.name in peer.cases:
                trials = len(peer.variants) if len(peer.variants) > 1 else 0
                seconds += each + NOT_MEASURING_S + trials * (3 + NOT_MEASURING_S)
    return seconds / 60


def show_list(options: argparse.Namespace) -> None:
    some_cases, some_peers = chosen(options)
    for case in some_cases:
        names = ", ".join(peer.name for peer in some_peers if case.name in peer.cases)
        print(f"{case.name:24} {case.title}\n{'':24} {names}")
    print(f"\nabout {minutes(options):.0f} minutes")


def measure(options: argparse.Namespace) -> None:
    some_cases, some_peers = chosen(options)
    say(f"{len(some_cases)} cases, about {minutes(options):.0f} minutes")
    static.make(STATIC)
    options.output.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        options.rounds,
        options.seconds,
        options.rate_rounds,
        options.rate_seconds,
        options.server_core,
        options.load_core,
    )
    for case in some_cases:
        about = {
            "command": "python -m bench " + " ".join(sys.argv[1:]),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
        }
        results = run_case(case, some_peers, plan) | about
        path = options.output / f"{case.name}.json"
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def load(paths: list[Path]) -> list[dict[str, Any]]:
    """Results of cases, in the cases' order; other files are passed over."""
    found = {}
    for path in paths:
        content = json.loads(path.read_text())
        if isinstance(content, dict) and content.get("case") in cases.BY_NAME:
            found[content["case"]] = content
    return [found[name] for name in cases.BY_NAME if name in found]


def summarise(folder: Path) -> None:
    """table.md and chart.svg over all results of the folder; the table also to standard output."""
    results = load(sorted(folder.glob("*.json")))
    if not results:
        return
    titles = {peer.name: peer.title for peer in peers.ALL}
    sections = [report.section(case, titles) for case in results]
    text = "\n".join([*sections, report.about(results), ""])
    (folder / "table.md").write_text(text)
    limits = {peer.name for peer in peers.ALL if peer.limit}
    (folder / "chart.svg").write_text(chart(results, titles, limits))
    print(text, end="")


def publish(folder: Path) -> None:
    """The tables into the documentation, between its two marks, and the chart beside it."""
    page = (DOCS / "performance.md").read_text()
    head, begin, rest = page.partition(MARKS[0])
    _, end, tail = rest.partition(MARKS[1])
    if not begin or not end:
        raise SystemExit(f"docs/performance.md has no {' and '.join(MARKS)}")
    tables = (folder / "table.md").read_text()
    (DOCS / "performance.md").write_text(f"{head}{begin}\n\n{PICTURE}\n{tables}\n{end}{tail}")
    shutil.copy(folder / "chart.svg", DOCS / "images" / "bench.svg")


def check_floors(options: argparse.Namespace) -> int:
    results = load(options.check_floors or sorted(options.output.glob("*.json")))
    verdicts = floors.check([row for case in results for row in case["rows"]])
    for verdict in verdicts:
        print(verdict.line())
    return 1 if any(verdict.met is False for verdict in verdicts) else 0


def main() -> int:
    options = parse()
    if options.check_floors is not None:
        return check_floors(options)
    if options.publish:
        summarise(options.output)
        publish(options.output)
        return 0
    if options.list:
        show_list(options)
        return 0
    for core in (options.server_core, options.load_core):
        if core not in os.sched_getaffinity(0):
            say(f"core {core} is not ours to use: see --server-core and --load-core")
            return 2
    exit_on_termination()
    measure(options)
    summarise(options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
