"""The command line of the bench."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import cases, database, floors, peers, report
from bench.apps import static
from bench.chart import chart
from bench.errors import UnavailableError
from bench.machine import machine
from bench.places import DOCS, RESULTS, STATIC
from bench.run import Plan, run_case, say
from bench.signals import exit_on_termination

DESCRIPTION = """Measures Quintette, its peers and the limits of the machine, one worker each.

Server on core 0, load on core 1; the servers of a case are all up and measured in turn. Each case
has three parts: the peak (wrk), latency at half of each server's own peak, and CPU at one rate
that the slowest peer holds (the last two with an open-loop generator). First figure: CPU per
request of the server's processes; PostgreSQL's processes run beside the load and count apart.
Results go to OUTPUT, a file a case, with tables and a chart (.md, .svg) over all that have results
there: bench and, for the cases on a database, bench-database.
"""
QUICK = {"rounds": 2, "seconds": 1, "rate_rounds": 1}
PICTURE = "![CPU per request, by case and server](images/{group}.svg)"
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
    parser.add_argument(
        "--cases", type=matching, metavar="PATTERN", help="by a shell's pattern, as 'db-*'"
    )
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
    parser.add_argument(
        "--clean", action="store_true", help="drop the bench's databases, measure nothing"
    )
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


def matching(pattern: str) -> list[str]:
    found = fnmatch.filter(cases.BY_NAME, pattern)
    if not found:
        raise argparse.ArgumentTypeError(f"no case is called {pattern}")
    return found


def chosen(options: argparse.Namespace) -> tuple[list[cases.Case], list[peers.Peer]]:
    names = [*(options.case or ()), *(options.cases or ())]
    return (
        [cases.BY_NAME[name] for name in names or cases.BY_NAME],
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


def clean() -> int:
    """Drop both databases; 1 when one could not be reached."""
    status = 0
    for kind in (database.POSTGRESQL, database.SQLITE):
        try:
            database.drop(kind)
        except UnavailableError as error:
            say(f"not dropped: {error}")
            status = 1
    return status


def load(paths: list[Path]) -> list[dict[str, Any]]:
    """Results of cases, in the cases' order; other files are passed over."""
    found = {}
    for path in paths:
        content = json.loads(path.read_text())
        if isinstance(content, dict) and content.get("case") in cases.BY_NAME:
            found[content["case"]] = content
    return [found[name] for name in cases.BY_NAME if name in found]


def groups(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The folder's results by page section: those on a database have one of their own."""
    results = load(sorted(folder.glob("*.json")))
    found: dict[str, list[dict[str, Any]]] = {"bench": [], "bench-database": []}
    for case in results:
        found["bench-database" if case["case"] in cases.DATABASE else "bench"].append(case)
    return {group: some for group, some in found.items() if some}


def summarise(folder: Path) -> None:
    """A table and a chart of each group of results; the tables also to standard output."""
    titles = {peer.name: peer.title for peer in peers.ALL}
    limits = {peer.name for peer in peers.ALL if peer.limit}
    for group, results in groups(folder).items():
        sections = [report.section(case, titles) for case in results]
        text = "\n".join([*sections, report.about(results), ""])
        (folder / f"{group}.md").write_text(text)
        (folder / f"{group}.svg").write_text(chart(results, titles, limits))
        print(text, end="")


def publish(folder: Path) -> None:
    """Each group's tables into the documentation, between its two marks, and its chart beside."""
    page = (DOCS / "performance.md").read_text()
    for group in groups(folder):
        marks = (f"<!-- {group}: begin -->", f"<!-- {group}: end -->")
        head, begin, rest = page.partition(marks[0])
        _, end, tail = rest.partition(marks[1])
        if not begin or not end:
            raise SystemExit(f"docs/performance.md has no {' and '.join(marks)}")
        tables = (folder / f"{group}.md").read_text()
        picture = PICTURE.format(group=group)
        page = f"{head}{begin}\n\n{picture}\n{tables}\n{end}{tail}"
        shutil.copy(folder / f"{group}.svg", DOCS / "images" / f"{group}.svg")
    (DOCS / "performance.md").write_text(page)


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
    if options.clean:
        return clean()
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
