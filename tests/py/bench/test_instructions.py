"""The gate on instructions per request: what is compared, what fails."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "bench" / "instructions"


@pytest.fixture(scope="module")
def run() -> Any:
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("run")
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("run", "baseline", "callgrind"):
            sys.modules.pop(name, None)


@pytest.fixture
def committed(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(run.baseline, "FOLDER", tmp_path)
    key = run.Key("x86_64", "gcc-12", "3.13.0", "6.1")
    run.baseline.save(key.file, present(run, {"a": 1000, "b": 2000}))
    return key


def present(run: Any, counts: dict[str, int], **facts: str) -> Any:
    environment = {"scanner": "avx2", "valgrind": "1", "libc": "2", "python_build": "3", **facts}
    return run.Baseline(run.Environment(**environment), {"msgspec": "1"}, counts)


@pytest.mark.parametrize(
    ("was", "count", "verdict"),
    [
        (1000, 1000, "ok"),
        (1000, 1050, "ok"),
        (1000, 1051, "worse"),
        (1000, 950, "ok"),
        (1000, 949, "better"),
        (None, 1000, "new"),
        (1000, None, "gone"),
    ],
)
def test_verdict(run: Any, was: int | None, count: int | None, verdict: str) -> None:
    old = {} if was is None else {"a": was}
    new = {} if count is None else {"a": count}
    assert [row.verdict for row in run.baseline.compare(old, new)] == [verdict]


@pytest.mark.parametrize(
    ("counts", "passes"),
    [
        ({"a": 1000, "b": 2000}, True),
        ({"a": 900, "b": 2000}, True),
        ({"a": 1000, "b": 2000, "c": 1}, True),
        ({"a": 1000, "b": 2101}, False),
        ({"a": 1000}, False),
    ],
)
def test_gate(run: Any, committed: Any, counts: dict[str, int], passes: bool) -> None:
    assert run.judge(committed, present(run, counts)) is passes


def test_other_versions_pass_loudly(
    run: Any, committed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    other = run.Key("x86_64", "gcc-13", "3.13.0", "6.1")
    assert run.judge(other, present(run, {"a": 5000}))
    said = capsys.readouterr().out
    assert "NOT COMPARED" in said
    assert "no x86_64-gcc-13-python3.13.0-django6.1.json" in said
    assert "5,000" in said


def test_another_scanner_is_not_compared(
    run: Any, committed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.judge(committed, present(run, {"a": 5000}, scanner="sse4.2"))
    said = capsys.readouterr().out
    assert "scanner: avx2 in the baseline, sse4.2 here" in said


def test_another_msgspec_is_compared_and_told(
    run: Any, committed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    now = present(run, {"a": 5000, "b": 2000})
    now.libraries["msgspec"] = "2"
    assert not run.judge(committed, now)
    assert "msgspec: 1 in the baseline, 2 here" in capsys.readouterr().out


def test_steady(run: Any) -> None:
    assert run.is_steady([{"a": 1000}, {"a": 1009}])
    assert not run.is_steady([{"a": 1000}, {"a": 1011}])


def test_start_up_cancels(run: Any) -> None:
    assert run.Batches(20, 120).per_request(5_000 + 20 * 70, 5_000 + 120 * 70) == 70
