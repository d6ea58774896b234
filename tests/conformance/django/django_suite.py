"""Fetches Django's source distribution and runs packages of its tests in a process of their own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import django

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CACHE = ROOT / "build" / "conformance"
FETCH_SECONDS = 300
# The longest package takes a minute.
RUN_SECONDS = 900
# Of a failing package's output, what pytest shows.
SHOWN_CHARS = 20_000


class UnreachableError(Exception):
    """No index of packages answers."""


class NoResultsError(Exception):
    """The tests' process ended, or was ended, before its last test."""


# --- the source distribution ------------------------------------------------------------


def fetch_tests() -> Path:
    """The folder of the tests of the very Django that is installed; fetched once."""
    version = django.get_version()
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / f"django-{version}.tar.gz"
    checksum = archive.with_suffix(".gz.sha256")
    if not checksum.is_file() or not archive.is_file():
        _download(version, archive)
        checksum.write_text(_sha256(archive))
    elif checksum.read_text() != _sha256(archive):
        raise RuntimeError(f"{archive} is not what was downloaded: remove it")
    folder = CACHE / f"django-{version}"
    if not folder.is_dir():
        with tarfile.open(archive) as tar:
            tar.extractall(CACHE / "unpacking", filter="data")
        (CACHE / "unpacking" / folder.name).rename(folder)
        (CACHE / "unpacking").rmdir()
    return folder / "tests"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _download(version: str, archive: Path) -> None:
    """pip compares what it got with the hash in the index."""
    folder = CACHE / "download"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "django"]
    command += ["--no-cache-dir", "--dest", str(folder), f"Django=={version}"]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=FETCH_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise UnreachableError("the index of packages did not answer in time") from error
    if "do not match the hashes" in done.stderr.lower():
        raise RuntimeError(done.stderr)
    if done.returncode:
        raise UnreachableError(done.stderr.strip().splitlines()[-1])
    folder.joinpath(archive.name).rename(archive)
    folder.rmdir()


# --- lists ------------------------------------------------------------------------------


def read_packages(file: str = "packages.txt") -> list[str]:
    lines = (HERE / file).read_text().splitlines()
    packages = [line.partition(" >= ") for line in lines if line and not line.startswith("#")]
    return [package for package, _, since in packages if _has(since or "0")]


def _has(since: str) -> bool:
    """Whether the Django that is installed is as new as that."""
    version = tuple(int(part) for part in since.split("."))
    return django.VERSION[: len(version)] >= version


def read_exclusions(file: str = "exclusions.toml", **setting: str) -> dict[str, str]:
    """Test id -> reason, for the Django that is installed. A group that has a list by the name of
    a `setting` holds only where that is listed."""
    data = tomllib.loads((HERE / file).read_text())
    found: dict[str, str] = {}
    for group in data.get("exclusion", ()):
        if not _has(group.get("since", "0")):
            continue
        if any(value not in group.get(name, [value]) for name, value in setting.items()):
            continue
        for test in group["tests"]:
            assert test not in found, f"{test} is excluded twice"
            found[test] = group["reason"]
    return found


# --- a package --------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """How Django's runtests.py is run."""

    module: str
    """Its ``__main__`` takes the options, the folder of the tests, the file for the results, and
    runtests.py's arguments."""
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


OVER_QUINTETTE = Way("over_quintette")
DJANGOS_HANDLERS = Way("over_quintette", ("--plain",))


@dataclass
class Report:
    """What became of a package's tests. All but `passed` are lists of test ids."""

    ran: int
    passed: int
    skipped: list[str]
    excluded: list[str]
    environment: list[str]
    """Failing with Django's own parts too: for want of a program, or because root may write
    everywhere."""
    failed: list[str]
    """Failing over Quintette alone, and not excluded."""
    needless: list[str]
    """Excluded, but passing."""
    unknown: list[str]
    """Excluded, but Django has no such test."""
    output: str


def run_package(
    tests: Path,
    package: str,
    exclusions: Mapping[str, str],
    ours: Way = OVER_QUINTETTE,
    djangos: Way = DJANGOS_HANDLERS,
) -> Report:
    outcomes, output = run_tests(tests, [package], ours)
    bad = {name for name, outcome in outcomes.items() if outcome == "failed"}
    listed = {name for name in exclusions if name.startswith(f"{package}.")}
    environment: set[str] = set()
    if bad - listed and ours != djangos:
        plain, _output = run_tests(tests, [package], djangos)
        environment = {name for name in bad - listed if plain.get(name) == "failed"}
    return Report(
        ran=len(outcomes),
        passed=sum(outcome == "passed" for outcome in outcomes.values()),
        skipped=sorted(name for name, outcome in outcomes.items() if outcome == "skipped"),
        excluded=sorted(bad & listed),
        environment=sorted(environment),
        failed=sorted(bad - listed - environment),
        needless=sorted(name for name in listed if outcomes.get(name) == "passed"),
        unknown=sorted(listed - outcomes.keys()),
        output=output,
    )


def run_tests(tests: Path, labels: Sequence[str], way: Way) -> tuple[dict[str, str], str]:
    """Test id -> outcome, and what was printed. Whatever runtests.py says at its end."""
    path = os.pathsep.join([str(HERE), str(ROOT / "python"), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory(prefix="quintette-django-") as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", way.module, *way.options, str(tests), str(results)]
        done = subprocess.run(
            [*command, "--parallel=1", "--noinput", *labels],
            check=False,
            cwd=tests,
            env={**os.environ, **way.environment, "PYTHONPATH": path.rstrip(os.pathsep)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=RUN_SECONDS,
        )
        if not results.is_file():
            raise NoResultsError(f"Django's tests did not run to their end:\n{done.stdout}")
        outcomes: dict[str, str] = json.loads(results.read_text())
    return outcomes, done.stdout


def complaints(report: Report) -> str:
    """Why a package is not all right: a line per reason."""
    lines = [f"FAILS over Quintette alone: {name}" for name in report.failed]
    lines += [f"excluded, but PASSES: {name}" for name in report.needless]
    lines += [f"excluded, but there is NO SUCH TEST: {name}" for name in report.unknown]
    # All of them may be for a database that has what this one lacks.
    if not report.passed and len(report.skipped) < max(report.ran, 1):
        lines.append("not one test passed")
    return "".join(f"{line}\n" for line in lines)
