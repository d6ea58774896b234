"""Instructions per request of fixed cases, against the committed baseline: make bench-instructions

Fails when a case needs over 5 % more than its baseline, or a case of the baseline is gone. Without
a baseline for these versions the counts are printed, and that is said.

    --update      write the baseline
    --repeat N    count N times and fail when the counts of a case are more than 1 % apart
    --only TEXT   cases with TEXT in their names; nothing is compared with the baseline
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import baseline
import callgrind
from baseline import Baseline, Environment, Key, Row
from callgrind import Batches, FailedError, SkippedError

HERE = Path(__file__).resolve().parent
INPROCESS = HERE / "inprocess.py"
LIBRARIES = ("msgspec", "asgiref")
SPREAD_MAX = 0.01

# Multiples of the six paths of the router's case.
C_BATCHES = Batches(600, 3600)
PYTHON_BATCHES = Batches(20, 120)

Counter = Callable[[], float]


class Programs:
    """What bench/c was built to, and what it tells."""

    def __init__(self, build: Path) -> None:
        self.folder = build / "bench" / "c"
        self.marks = self.folder / "libq5_marks.so"
        told = subprocess.run(
            [self.folder / "instructions"], capture_output=True, text=True, check=True
        ).stdout
        facts = [line.split(" ", 1) for line in told.splitlines()]
        self.cases = [value for name, value in facts if name == "case"]
        self.compiler = next(value for name, value in facts if name == "compiler")

    def scanner(self) -> str:
        """The one that is chosen under valgrind, whose CPU may lack what the real one has."""
        told = subprocess.run(
            ["valgrind", "--quiet", self.folder / "instructions"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return next(line.split()[1] for line in told.splitlines() if line.startswith("scanner"))


def counters(programs: Programs) -> dict[str, Counter]:
    """How to count each case."""
    listed = subprocess.run(
        [sys.executable, INPROCESS], capture_output=True, text=True, check=True
    ).stdout
    native = [str(programs.folder / "instructions")]
    inprocess = [sys.executable, str(INPROCESS), str(programs.marks)]
    return {
        case: partial(callgrind.count, [*command, case], batches)
        for command, batches, cases in (
            (native, C_BATCHES, programs.cases),
            (inprocess, PYTHON_BATCHES, listed.split()),
        )
        for case in cases
    }


class Outcome(NamedTuple):
    counts: dict[str, int]
    skipped: list[str]
    failed: list[str]


def run_all(cases: dict[str, Counter]) -> Outcome:
    outcome = Outcome({}, [], [])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for case, future in [(case, pool.submit(run)) for case, run in cases.items()]:
            try:
                outcome.counts[case] = round(future.result())
            except SkippedError:
                outcome.skipped.append(case)
            except FailedError as error:
                outcome.failed.append(f"{case}: {error}")
    return outcome


def is_steady(rounds: list[dict[str, int]]) -> bool:
    """No case's counts are further apart than SPREAD_MAX; prints the most that they are."""
    spreads = {}
    for case in rounds[0]:
        counts = [counts[case] for counts in rounds]
        spreads[case] = max(counts) / min(counts) - 1
    print(f"{len(rounds)} rounds, at most {max(spreads.values()):.3%} apart")
    unsteady = [f"{case}: {part:.3%}" for case, part in spreads.items() if part > SPREAD_MAX]
    print(*unsteady, sep="\n", end="\n" if unsteady else "")
    return not unsteady


# --- what is compared with what ---------------------------------------------------------------


def key(programs: Programs) -> Key:
    return Key(platform.machine(), programs.compiler, platform.python_version(), version("django"))


def environment(programs: Programs) -> Environment:
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    options = [
        name
        for name in ("--enable-optimizations", "--with-lto", "--enable-shared", "--with-pydebug")
        if name in arguments
    ]
    return Environment(
        scanner=programs.scanner(),
        valgrind=callgrind.version(),
        libc=" ".join(platform.libc_ver()),
        python_build=" ".join([platform.python_compiler(), *options]),
    )


def print_rows(rows: list[Row]) -> None:
    for row in rows:
        now = "-" if row.count is None else f"{row.count:,}"
        was = "-" if row.was is None else f"{row.was:,}"
        change = "" if row.change is None else f"{row.change:+.1%}"
        print(f"{row.case:28}{now:>12}{was:>12}{change:>9}  {row.verdict}")


def loud(*lines: str) -> None:
    print("!" * 80, *(f"!! {line}" for line in lines), "!" * 80, sep="\n")


def judge(key: Key, present: Baseline) -> bool:
    """Prints the comparison; false when something got worse."""
    was = baseline.load(key.file)
    reasons = (
        [f"no {key.file.name}"]
        if was is None
        else baseline.differences(asdict(was.environment), asdict(present.environment))
    )
    if was is None or reasons:
        print_rows([Row(case, count, None, "new") for case, count in present.counts.items()])
        loud(
            "NOT COMPARED: there is no baseline for this machine.",
            *reasons,
            "make bench-instructions ARGS=--update writes one.",
        )
        return True
    rows = list(baseline.compare(was.counts, present.counts))
    print_rows(rows)
    for line in baseline.differences(was.libraries, present.libraries):
        print(f"note: {line}")
    if any(row.verdict == "better" for row in rows):
        print("note: keep what was won: make bench-instructions ARGS=--update")
    return not any(row.verdict in ("worse", "gone") for row in rows)


# --- the command ------------------------------------------------------------------------------


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Instructions per request.")
    parser.add_argument("--build", type=Path, required=True, help="with Q5_BUILD_BENCH")
    parser.add_argument("--update", action="store_true", help="write the baseline")
    parser.add_argument("--repeat", type=int, default=1, help="rounds, at most 1 %% apart")
    parser.add_argument("--only", default="", help="cases with this in their names")
    return parser.parse_args()


def main() -> int:
    options = parse()
    programs = Programs(options.build)
    present = Baseline(
        environment(programs), {name: version(name) for name in LIBRARIES}, counts={}
    )
    print(*(f"{name}: {value}" for name, value in asdict(present.environment).items()), sep="\n")
    cases = {case: run for case, run in counters(programs).items() if options.only in case}
    outcomes = [run_all(cases) for _ in range(options.repeat)]
    present.counts.update(outcomes[0].counts)
    for case in outcomes[0].skipped:
        print(f"skipped: {case}, which this machine cannot run")
    failed = [line for outcome in outcomes for line in outcome.failed]
    if failed:
        print("FAILED", *failed, sep="\n")
        return 1
    if options.repeat > 1 and not is_steady([outcome.counts for outcome in outcomes]):
        return 1
    if options.only:
        print_rows([Row(case, count, None, "new") for case, count in present.counts.items()])
        return 0
    if options.update:
        baseline.save(key(programs).file, present)
        print(f"written: {key(programs).file.name}")
    return 0 if judge(key(programs), present) else 1


if __name__ == "__main__":
    sys.exit(main())
