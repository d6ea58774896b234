"""Django's own tests with Quintette's database engines: ``python orm_suite.py --help``.

An engine is run in two modes: "sync", as any Django project uses it, and "bridge", where each test
runs in a greenlet on an event loop. The mode "django" is Django's own engine, to compare with.
What came out is kept by package in build/conformance/orm/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

from django_suite import (
    CACHE,
    HERE,
    ROOT,
    SHOWN_CHARS,
    NoResultsError,
    Report,
    Way,
    complaints,
    fetch_tests,
    read_exclusions,
    read_packages,
    run_package,
)

ENGINES = ("postgresql", "sqlite3")
MODES = ("sync", "bridge")
SUMS = ("passed", "skipped", "excluded", "environment", "failed")


def packages() -> list[str]:
    return [line.split()[0] for line in read_packages("orm_packages.txt")]


def default_packages() -> list[str]:
    """What `make conformance` runs."""
    return [line.split()[0] for line in read_packages("orm_packages.txt") if line.endswith("*")]


def exclusions(engine: str, mode: str) -> dict[str, str]:
    if mode == "django":
        return {}
    return read_exclusions("orm_exclusions.toml", engine=engine, mode=mode)


def way(engine: str, mode: str) -> Way:
    room = "django.db.backends" if mode == "django" else "quintette.db"
    return Way(
        "over_engine",
        ("--bridge",) if mode == "bridge" else (),
        {"ENGINE_UNDER_TEST": f"{room}.{engine}", "TEST_DATABASE": f"conf_{os.getpid()}"},
    )


def run(tests: Path, package: str, engine: str, mode: str) -> Report:
    ours, djangos = way(engine, mode), way(engine, "django")
    return run_package(tests, package, exclusions(engine, mode), ours, djangos)


# --- what came out, kept ----------------------------------------------------------------


@cache
def state_of_code() -> str:
    """Changes with the package, the extension and what is excluded."""
    digest = hashlib.sha256()
    files = [p for p in (ROOT / "python").rglob("*") if p.suffix in (".py", ".so")]
    for file in sorted([*files, *HERE.glob("over_*/*.py"), HERE / "orm_exclusions.toml"]):
        digest.update(f"{file}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def kept(package: str, engine: str, mode: str) -> Report | None:
    """The report of an earlier run of the same code."""
    file = CACHE / "orm" / f"{engine}-{mode}" / f"{package}.json"
    if not file.is_file():
        return None
    data = json.loads(file.read_text())
    return Report(**data["report"]) if data["code"] == state_of_code() else None


def keep(report: Report, package: str, engine: str, mode: str) -> None:
    file = CACHE / "orm" / f"{engine}-{mode}" / f"{package}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"code": state_of_code(), "report": asdict(report)}, indent=1))


# --- the command ------------------------------------------------------------------------


def main() -> int:
    options = _options()
    names = options.package or (packages() if options.all else default_packages())
    tests = fetch_tests()
    is_bad = False
    for engine in options.engine:
        for mode in options.mode:
            total: dict[str, int] = dict.fromkeys(SUMS, 0)
            for line in _run_all(tests, names, engine, mode, options.resume, total):
                print(line, flush=True)
            is_bad |= bool(total.pop("bad", 0))
            print(f"{engine} {mode}: {len(names)} packages, {_line(total)}", flush=True)
    return is_bad


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", nargs="*", help="of Django's tests; else the default ones")
    parser.add_argument("--all", action="store_true", help="all that are listed")
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--mode", action="append", choices=(*MODES, "django"))
    parser.add_argument("--resume", action="store_true", help="not again what ran with this code")
    options = parser.parse_args()
    options.engine = options.engine or ENGINES
    options.mode = options.mode or MODES
    return options


def _run_all(
    tests: Path, names: Iterable[str], engine: str, mode: str, resume: bool, total: dict[str, int]
) -> Iterator[str]:
    for package in names:
        report = kept(package, engine, mode) if resume else None
        started = time.monotonic()
        if report is None:
            try:
                report = run(tests, package, engine, mode)
            except (NoResultsError, subprocess.TimeoutExpired) as error:
                total["bad"] = 1
                output = error.stdout if isinstance(error, subprocess.TimeoutExpired) else error
                yield f"{engine} {mode} {package}: NO RESULTS\n{str(output)[-SHOWN_CHARS:]}"
                continue
            keep(report, package, engine, mode)
        counts = {n: getattr(report, n) for n in SUMS}
        counts = {n: value if isinstance(value, int) else len(value) for n, value in counts.items()}
        for name, count in counts.items():
            total[name] += count
        seconds = time.monotonic() - started
        yield f"{engine} {mode} {package}: {_line(counts)} ({seconds:.1f} s)"
        if found := complaints(report).rstrip():
            total["bad"] = 1
            yield found


def _line(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


if __name__ == "__main__":
    sys.exit(main())
