"""The case whose database is further away: what its servers are told, and what ends with it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import away, cases, database, database_cases, peers, run
from bench.apps.db import places
from bench.errors import UnavailableError
from bench.peers.base import Peer, only
from bench.server import Launch

ROOT = Path(__file__).parents[3]
CASE = cases.BY_NAME["db-sync4-away"]
CORE = min(os.sched_getaffinity(0))
PLAN = run.Plan(1, 1, 0, 1, CORE, CORE)
SAY_SIZES = f"""
import json, os
os.sched_setaffinity(0, {{{CORE}}})
import django
django.setup()
from django.conf import settings
from quintette.conf import get_settings
options = settings.DATABASES["default"]["OPTIONS"]
print(json.dumps([options.get("loop_pool"), get_settings().thread_count()]))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made: empty but for what was left."""
    path = tmp_path / "left"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture
def far(
    tmp_path: Path, folder: Path, delay_program: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A socket where PostgreSQL's would be, and a relay that can be started."""
    monkeypatch.delenv("PGPORT", raising=False)
    monkeypatch.setattr(places, "POSTGRESQL_HOST", str(tmp_path))
    monkeypatch.setattr(away, "PROGRAM", delay_program)
    monkeypatch.setattr(database, "prepare", lambda kind: None)
    monkeypatch.setattr(database, "server_version", lambda kind: {})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / ".s.PGSQL.5432"))
        server.listen()
        yield server


@pytest.fixture
def relays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids of those that the bench starts."""
    found = []

    class Noted(away.Relay):
        def start(self, core: int) -> cases.Case:
            case = super().start(core)
            assert self.pid is not None
            found.append(self.pid)
            return case

    monkeypatch.setattr(run, "Relay", Noted)
    return found


def peer(launch: Any) -> Peer:
    return Peer("x", "X", frozenset({CASE.name}), only(launch))


def sizes(case: str, server: str) -> list[Any]:
    chosen = cases.BY_NAME[case]
    launch = peers.BY_NAME[server].variants[0].launch(chosen, 1)
    done = subprocess.run(
        [sys.executable, "-c", SAY_SIZES],
        env=os.environ
        | database.environment(chosen.database)
        | chosen.environment
        | launch.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: list[Any] = json.loads(done.stdout)
    return found


def test_who_runs_it_is_who_runs_the_case_near_by() -> None:
    near = {peer.name for peer in peers.ALL if "db-sync4" in peer.cases}
    assert near == {peer.name for peer in peers.ALL if CASE.name in peer.cases}
    assert near == {
        "quintette-sync-greenlet",
        "quintette-sync-thread",
        "quintette-django-sync",
        "django-sync",
    }
    there = cases.BY_NAME["db-sync4"]
    assert (CASE.path, CASE.answer, CASE.connections) == (there.path, there.answer, 64)
    assert CASE.away_ms == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "server", "pool", "threads"),
    [
        (CASE.name, "quintette-sync-greenlet", database_cases.AWAY_POOL, 5),
        (CASE.name, "quintette-sync-thread", database_cases.AWAY_POOL, 5),
        (CASE.name, "quintette-django-sync", None, 5),
        ("db-sync4", "quintette-sync-greenlet", places.POOL, places.POOL),
        ("db-sync4", "quintette-sync-thread", places.POOL, places.POOL),
    ],
)
def test_pools_and_threads_are_as_many_as_the_title_says(
    case: str, server: str, pool: int | None, threads: int
) -> None:
    assert sizes(case, server) == [pool and {"size": pool}, threads]
    title = f"({database_cases.AWAY_POOL} connections for greenlets, 5 threads, 4 of gunicorn's)"
    assert title in CASE.title
    gunicorn = peers.BY_NAME["django-sync"].variants[0].launch(CASE, 1).command
    assert gunicorn[gunicorn.index("--threads") + 1] == "4"


def test_a_case_near_by_has_no_relay() -> None:
    case = cases.BY_NAME["db-sync4"]
    relay = away.Relay(case)
    assert relay.start(CORE) is case
    assert relay.pid is None
    relay.stop()


@pytest.mark.slow
def test_the_servers_are_sent_to_the_relay_which_ends_with_them(
    far: socket.socket, folder: Path, relays: list[int]
) -> None:
    look = 'test -S "$PGHOST/.s.PGSQL.5432" && echo "by way of $PGHOST"; exit 3'
    asking = peer(lambda case, port: Launch(["sh", "-c", look]))
    left_out = run.run_case(CASE, [asking], PLAN)["left_out"]
    assert f"by way of {folder}/quintette-bench-" in left_out["x"]
    assert len(relays) == 1
    assert not Path(f"/proc/{relays[0]}").exists()
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_a_bench_that_is_ended_ends_the_relay(
    far: socket.socket, folder: Path, relays: list[int], ending: type[BaseException]
) -> None:
    def launch(case: cases.Case, port: int) -> Launch:
        assert Path(f"/proc/{relays[0]}").exists()
        raise ending

    with pytest.raises(ending):
        run.run_case(CASE, [peer(launch)], PLAN)
    assert not Path(f"/proc/{relays[0]}").exists()
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_relay_that_does_not_run_leaves_every_server_out(
    far: socket.socket, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def why() -> str:
        left_out: dict[str, str] = run.run_case(CASE, list(peers.ALL), PLAN)["left_out"]
        assert len(left_out) == 4
        assert len(set(left_out.values())) == 1
        assert list(folder.iterdir()) == []
        return left_out["django-sync"]

    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho no delays today; exit 7\n")
    failing.chmod(0o755)
    monkeypatch.setattr(away, "PROGRAM", failing)
    assert why() == "the relay ended with 7: no delays today"
    monkeypatch.setattr(away, "PROGRAM", tmp_path / "none")
    assert why() == "bench/c/delay is not built (make bench builds it)"
    monkeypatch.setattr(places, "POSTGRESQL_HOST", "127.0.0.1")
    monkeypatch.setattr(away, "PROGRAM", failing)
    assert why() == "PostgreSQL: 127.0.0.1/.s.PGSQL.5432 is no socket to stand before"


@pytest.mark.slow
@pytest.mark.postgresql
def test_postgresql_is_two_milliseconds_away(
    delay_program: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    psycopg = pytest.importorskip("psycopg")
    monkeypatch.setattr(away, "PROGRAM", delay_program)
    relay = away.Relay(CASE)
    try:
        host = relay.start(CORE).environment["PGHOST"]
    except UnavailableError as error:
        pytest.skip(str(error))
    try:
        took = []
        with psycopg.connect(host=host, dbname="postgres", autocommit=True) as connection:
            for number in range(20):
                started = time.perf_counter()
                assert connection.execute(f"SELECT {number}").fetchone() == (number,)
                took.append(time.perf_counter() - started)
    finally:
        relay.stop()
    assert min(took) >= 0.002
    assert min(took) < 0.006
