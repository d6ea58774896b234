"""Every row of hostile_rows against a running server, then all of them fifty times over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_client import ServerProcess
from hostile_rows import ROWS, Row

ROUNDS = 50
MIB = 1 << 20

CONTROL_BYTES = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "access.log"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("root")
    (root / "a.txt").write_text("static")
    (root / "link").symlink_to(__file__)
    limits = {"body_max": 100_000}
    with ServerProcess(root=str(root), log=str(log), limits=limits) as process:
        yield process


def play(process: ServerProcess, row: Row, patience: float = 0.05) -> None:
    with process.connect() as client:
        client.send_as_far_as_taken(row.data)
        to_head = row.data.startswith(b"HEAD ")
        answer = None
        for status in row.statuses:
            answer = client.answer(to_head=to_head)
            assert answer.status == status
        if row.body is not None:
            assert answer is not None
            assert answer.body == row.body
        if row.end == "closed":
            assert answer is not None
            assert answer.closes
            assert client.ends()
        elif row.end == "kept":
            assert answer is None or not answer.closes
            assert client.is_kept()
        else:
            assert client.is_silent(patience)


def test_enough_rows() -> None:
    assert len(ROWS) >= 110
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_row(process: ServerProcess, row: Row) -> None:
    play(process, row)
    assert process.is_alive()


@pytest.mark.slow
def test_nothing_grows(process: ServerProcess) -> None:

    def play_all(rounds: int) -> None:
        for _ in range(rounds):
            for row in ROWS:
                play(process, row, 0.002)
        assert process.is_alive()

    play_all(3)
    before = process.look()
    play_all(ROUNDS)
    after = process.look()
    assert after["accepted"] - before["accepted"] > ROUNDS * len(ROWS)
    assert after["connections"] <= 1
    assert after["fds"] <= before["fds"] + 1
    # AddressSanitizer keeps freed memory for a while.
    if b"libasan" not in Path("/proc/self/maps").read_bytes():
        assert after["rss"] <= before["rss"] + 2 * MIB
    assert after["in_flight"] == 0
    assert after["faults"] > before["faults"]


def test_log_is_escaped(process: ServerProcess, log: Path) -> None:
    """What a client sends cannot move the cursor of whoever reads the log."""
    with process.connect() as client:
        client.send(b"GET /%1b[31m HTTP/1.1\r\nHost: h\r\nUser-Agent: \x9b31m\r\n\r\n")
        client.answer()
    process.look()
    text = log.read_bytes()
    assert b"/%1b[31m" in text
    assert CONTROL_BYTES.search(text) is None
