"""Instructions per request of one program, by callgrind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

TIMEOUT_SECONDS = 120
# What a program answers that cannot run its case on this machine.
STATUS_SKIPPED = 77

TRIGGER = re.compile(r"^desc: Trigger: Client Request: (\w+)$", re.MULTILINE)
TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)


class SkippedError(Exception):
    """The machine cannot run the case."""


class FailedError(Exception):
    """The program did not do what it should."""


@dataclass(frozen=True)
class Batches:
    """Requests in the small batch and in the large one. What both of them do once (the loop's
    beginning, the marks, a garbage collection) is no request's and cancels."""

    small: int
    large: int

    def per_request(self, small_count: int, large_count: int) -> float:
        return (large_count - small_count) / (self.large - self.small)


def count(command: Sequence[str], batches: Batches) -> float:
    """`command SMALL LARGE` marks its two batches as bench/c/marks.h says.

    Raises SkippedError and FailedError.
    """
    with TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind"
        valgrind = [
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={out}",
        ]
        try:
            done = subprocess.run(
                [*valgrind, *command, str(batches.small), str(batches.large)],
                env=_environment(),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FailedError(f"not done after {TIMEOUT_SECONDS} s") from None
        if done.returncode == STATUS_SKIPPED:
            raise SkippedError
        if done.returncode:
            raise FailedError(f"status {done.returncode}\n{done.stdout}{done.stderr}")
        counts = dict(_dump(file.read_text()) for file in Path(folder).glob("callgrind.*"))
    if counts.keys() != {"small", "large"}:
        raise FailedError(f"marks that came: {sorted(counts)}")
    return batches.per_request(counts["small"], counts["large"])


def _dump(text: str) -> tuple[str, int]:
    trigger, totals = TRIGGER.search(text), TOTALS.search(text)
    if not trigger or not totals:
        raise FailedError("callgrind wrote a file without its trigger or its totals")
    return trigger[1], int(totals[1])


def _environment() -> dict[str, str]:
    """The same for everyone: it lies on the program's stack, and hashes hang on a seed."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def version() -> str:
    try:
        done = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        sys.exit("valgrind is not there: scripts/system-packages.sh instructions")
    return done.stdout.strip()
