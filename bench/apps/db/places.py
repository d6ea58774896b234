"""Where the databases are, and what every stack is told about its connections."""

from __future__ import annotations

import os
from pathlib import Path

POSTGRESQL_NAME = os.environ.get("BENCH_POSTGRESQL_NAME", "quintette_bench")
POSTGRESQL_HOST = os.environ.get("PGHOST", "/var/run/postgresql")
"""A folder: the server's unix socket."""
SQLITE_FILE = Path(
    os.environ.get(
        "BENCH_SQLITE_FILE", Path(__file__).resolve().parents[3] / "build/bench/bench.sqlite3"
    )
)
POOL = 4
"""Connections, or threads with a connection each, of every stack. Not more: all servers of a case
are up at once, and PostgreSQL's own default is a hundred."""
LOOP_POOL = int(os.environ.get("BENCH_LOOP_POOL", POOL))
"""Connections of Quintette's loop: more in the case that is about waiting."""

SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "normal",
    "busy_timeout": "20000",
    "foreign_keys": "on",
}
SQLITE_OPTIONS: dict[str, object] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": ";".join(f"PRAGMA {name}={value}" for name, value in SQLITE_PRAGMAS.items()),
}
