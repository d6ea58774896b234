"""Requests in great number, and clients that leave at each stage of one: nothing is left behind."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from endurance_client import KINDS, load
from endurance_server import EnduranceServer, cannot_measure, eventually

pytestmark = pytest.mark.skipif(bool(cannot_measure()), reason=cannot_measure())

MIB = 1 << 20
SEED = 20
ROUNDS = 10
# The first half sets up what stays: threads, pools, and what malloc keeps of its peaks. After it
# only those peaks may differ: so many uploads and queued responses at the same time.
SLACK_BYTES = 6 * MIB


def settled(server: EnduranceServer, sockets: int) -> bool:
    """Nothing is under way but the question itself, and the kernel has closed what was."""
    stats = server.stats()
    return stats["connections"] == stats["in_flight"] == 1 and len(server.sockets()) == sockets


@pytest.mark.parametrize("requests", [20_000, pytest.param(1_000_000, marks=pytest.mark.endurance)])
def test_nothing_is_left_behind(tmp_path: Path, requests: int) -> None:
    began = time.monotonic()
    with EnduranceServer(tmp_path, SPOOL_BYTES=100_000, THREADS=8) as server:
        sockets = len(server.sockets())
        rss, files, threads, kinds = [], [], [], 0
        for number in range(ROUNDS):
            counts = asyncio.run(load(server.port, requests // ROUNDS, SEED + number))
            kinds |= sum(1 << at for at, kind in enumerate(KINDS) if counts[kind.__name__])
            eventually(lambda: settled(server, sockets), server.stats)
            rss.append(server.rss())
            files.append(len(server.files()))
            threads.append(server.threads())
        stats = server.stats()
        seconds = time.monotonic() - began
        print(
            f"\n{stats['requests']} heads of {stats['accepted']} connections in {seconds:.0f} s: "
            f"RSS in MiB after each tenth {[round(r / MIB, 1) for r in rss]}, "
            f"files {files}, threads {threads}, {stats}"
        )
        assert kinds == (1 << len(KINDS)) - 1, "a kind of client was not drawn"
        assert max(rss[ROUNDS // 2 :]) - rss[ROUNDS // 2 - 1] < SLACK_BYTES
        assert files[-1] == files[0]
        assert threads[-1] == threads[0]
        assert not list(server.spool.iterdir())
        assert not [f for f in server.files() if "(deleted)" in f]
        assert "Traceback" not in server.errors()
        assert "rror" not in server.errors()
