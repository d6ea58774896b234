"""The databases of the database cases: made once, found again by the data set's version, dropped.

PostgreSQL is that of libpq's own variables, by default over its unix socket; SQLite is a file
below build/.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.apps.db import places
from bench.errors import UnavailableError
from bench.places import ROOT

POSTGRESQL = "postgresql"
SQLITE = "sqlite"
_MADE_FROM = ("data.py", "models.py", "create.py")


def environment(kind: str) -> dict[str, str]:
    """What every process on the databases is started with."""
    return {
        "BENCH_DATABASE": kind,
        "PYTHONPATH": str(ROOT),
        "PGHOST": places.POSTGRESQL_HOST,
        "PGDATABASE": places.POSTGRESQL_NAME,
    }


def version() -> str:
    """Of the data set: another one means that the databases are made anew."""
    folder = Path(places.__file__).parent
    content = b"".join((folder / name).read_bytes() for name in _MADE_FROM)
    return hashlib.sha256(content).hexdigest()[:16]


def prepare(kind: str) -> None:
    """Make the database unless it is there; UnavailableError says what is missing."""
    if _version_of(kind) == version():
        return
    drop(kind)
    if kind == POSTGRESQL:
        name = places.POSTGRESQL_NAME
        _postgresql("postgres", f"CREATE DATABASE {name}")
        # A commit that waits for the disk measures the disk.
        _postgresql("postgres", f"ALTER DATABASE {name} SET synchronous_commit = off")
    else:
        places.SQLITE_FILE.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "bench.apps.db.create"],
        env=os.environ | environment(kind) | {"DJANGO_SETTINGS_MODULE": "bench.apps.db.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UnavailableError(f"{kind}: no data set: {done.stderr.strip()[-400:]}")
    _execute(kind, f"CREATE TABLE bench_version AS SELECT '{version()}' AS version")
    if kind == POSTGRESQL:
        _execute(kind, "VACUUM ANALYZE")


def drop(kind: str) -> None:
    """Drop the database if it is there."""
    if kind == POSTGRESQL:
        _postgresql("postgres", f"DROP DATABASE IF EXISTS {places.POSTGRESQL_NAME} WITH (FORCE)")
        return
    for suffix in ("", "-wal", "-shm"):
        places.SQLITE_FILE.with_name(places.SQLITE_FILE.name + suffix).unlink(missing_ok=True)


def counted(kind: str) -> int:
    """The sum that every update adds to."""
    return int(_execute(kind, "SELECT sum(number) FROM counter")[0][0])


def back_ends() -> list[int]:
    """The process ids of PostgreSQL's back ends on our database, on this machine."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
    return [row[0] for row in _postgresql("postgres", query, (places.POSTGRESQL_NAME,))]


def server_version(kind: str) -> dict[str, str]:
    """Name and version of the database server, or of the bench's own SQLite."""
    if kind == POSTGRESQL:
        return {"PostgreSQL": _execute(kind, "SHOW server_version")[0][0].split()[0]}
    return {"SQLite": sqlite3.sqlite_version}


def _version_of(kind: str) -> str | None:
    """Of the data set that is there; None when there is none."""
    if kind == SQLITE and not places.SQLITE_FILE.exists():
        return None
    if kind == POSTGRESQL:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if not _postgresql("postgres", query, (places.POSTGRESQL_NAME,)):
            return None
    try:
        return str(_execute(kind, "SELECT version FROM bench_version")[0][0])
    except UnavailableError:
        return None


def _execute(kind: str, query: str) -> list[Any]:
    if kind == POSTGRESQL:
        return _postgresql(places.POSTGRESQL_NAME, query)
    try:
        connecting = sqlite3.connect(places.SQLITE_FILE, timeout=20)
        with contextlib.closing(connecting) as connection, connection:
            return connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise UnavailableError(f"SQLite: {error}") from error


def _postgresql(database: str, query: str, parameters: tuple[object, ...] = ()) -> list[Any]:
    try:
        import psycopg
    except ImportError as error:
        raise UnavailableError("PostgreSQL: psycopg is not installed") from error
    try:
        with psycopg.connect(
            host=places.POSTGRESQL_HOST, dbname=database, autocommit=True, connect_timeout=5
        ) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        raise UnavailableError(f"PostgreSQL: {str(error).strip()}") from error
