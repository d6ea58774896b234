"""Counts that were committed, one file for each set of versions, and the comparison with them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).resolve().parent.parent / "baselines"
# More than this part above the baseline fails; less than it below should be written down.
TOLERANCE = 0.05

Verdict = Literal["ok", "worse", "better", "new", "gone"]


@dataclass(frozen=True)
class Key:
    """What instruction counts hang on most: one baseline for each."""

    machine: str
    compiler: str
    python: str
    django: str

    @property
    def file(self) -> Path:
        name = f"{self.machine}-{self.compiler}-python{self.python}-django{self.django}.json"
        return FOLDER / name


@dataclass(frozen=True)
class Environment:
    """What else makes counts incomparable, without being the project's doing."""

    scanner: str
    valgrind: str
    libc: str
    python_build: str


@dataclass(frozen=True)
class Baseline:
    environment: Environment
    libraries: dict[str, str]
    """Dependencies whose cost is part of a request's: told when they differ, and yet compared."""
    counts: dict[str, int]
    """Instructions per request, by case."""


@dataclass(frozen=True)
class Row:
    case: str
    count: int | None
    was: int | None
    verdict: Verdict

    @property
    def change(self) -> float | None:
        """As a part of the baseline."""
        if self.count is None or not self.was:
            return None
        return self.count / self.was - 1


def load(file: Path) -> Baseline | None:
    if not file.exists():
        return None
    data = json.loads(file.read_text(encoding="utf-8"))
    return Baseline(Environment(**data["environment"]), data["libraries"], data["counts"])


def save(file: Path, baseline: Baseline) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(asdict(baseline), indent=2) + "\n", encoding="utf-8")


def differences(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: {was.get(name, 'none')} in the baseline, {now.get(name, 'none')} here"
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name)
    ]


def compare(was: Mapping[str, int], now: Mapping[str, int]) -> Iterator[Row]:
    """A row for each case of either side, those of `now` first."""
    for case, count in now.items():
        yield Row(case, count, was.get(case), _verdict(was.get(case), count))
    for case in was:
        if case not in now:
            yield Row(case, None, was[case], "gone")


def _verdict(was: int | None, count: int) -> Verdict:
    if was is None:
        return "new"
    if count > was * (1 + TOLERANCE):
        return "worse"
    return "better" if count < was * (1 - TOLERANCE) else "ok"
