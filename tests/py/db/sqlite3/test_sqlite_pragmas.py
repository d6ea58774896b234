"""OPTIONS of the engine: what a connection gets, and what is refused with which words."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from sqlite_things import sql

MIB = 2**20


def pragma(name: str) -> Any:
    return sql(f"PRAGMA {name}")[0][0]


DEFAULTS = [
    ("journal_mode", "wal"),
    ("synchronous", 1),
    ("foreign_keys", 1),
    ("busy_timeout", 5000),
    ("cache_size", -8000),
    ("temp_store", 2),
    ("mmap_size", 128 * MIB),
    ("journal_size_limit", 64 * MIB),
    ("legacy_alter_table", 0),
]


def test_defaults(configure: Any) -> None:
    configure()
    assert [(name, pragma(name)) for name, _ in DEFAULTS] == DEFAULTS


CHOSEN = [
    ("journal_mode", "truncate", "truncate"),
    ("journal_mode", "DELETE", "delete"),
    ("synchronous", "full", 2),
    ("synchronous", 0, 0),
    ("foreign_keys", False, 0),
    ("busy_timeout", 0, 0),
    ("cache_size", 500, 500),
    ("temp_store", "FILE", 1),
    ("mmap_size", 0, 0),
    ("mmap_size", None, 0),
    ("wal_autocheckpoint", 10, 10),
    ("auto_vacuum", "incremental", 2),
    ("page_size", "8192", 8192),
    ("secure_delete", "fast", 2),
    ("query_only", True, 1),
]


@pytest.mark.parametrize(("name", "value", "found"), CHOSEN)
def test_chosen(configure: Any, name: str, value: Any, found: Any) -> None:
    configure(pragmas={name: value})
    assert pragma(name) == found


REFUSED = [
    ({"pragmas": {"sinchronous": "OFF"}}, "['pragmas'] has an unknown key 'sinchronous'. Did you"),
    ({"pragmas": {"x": 1}}, "['pragmas'] has an unknown key 'x'. Use 'init_command'"),
    ({"pragmas": {"synchronous": "FAST"}}, "['pragmas']['synchronous']: expected one of 'OFF', "),
    ({"pragmas": {"journal_mode": 1}}, "['pragmas']['journal_mode']: expected one of 'WAL'"),
    ({"pragmas": {"cache_size": "1; DROP"}}, "['pragmas']['cache_size']: expected an integer"),
    ({"pragmas": {"cache_size": True}}, "['pragmas']['cache_size']: expected an integer"),
    (
        {"pragmas": {"busy_timeout": -1}},
        "['busy_timeout']: expected an integer from 0 to 3,600,000",
    ),
    ({"pragmas": {"foreign_keys": 1}}, "['pragmas']['foreign_keys']: expected True or False"),
    ({"pragmas": "WAL"}, "['pragmas'] must be a dict, not 'WAL'"),
    ({"timeout": "5"}, "['timeout']: expected seconds from 0 to 3,600 (it is '5')"),
    ({"timeout": 1, "pragmas": {"busy_timeout": 1}}, "are the same: set one of them"),
    ({"read_budget_ms": 0}, "['read_budget_ms']: expected milliseconds above 0"),
    ({"transaction_mode": "NOW"}, "['transaction_mode'] is improperly configured"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_refused(configure: Any, options: dict[str, Any], message: str) -> None:
    connection = configure(**options)
    with pytest.raises(ImproperlyConfigured) as caught:
        connection.ensure_connection()
    assert message in str(caught.value)
    assert "'sq'" in str(caught.value)


def test_timeout_is_busy_timeout_in_seconds(configure: Any) -> None:
    configure(timeout=1.5)
    assert pragma("busy_timeout") == 1500


def test_init_command_has_the_last_word(configure: Any) -> None:
    configure(init_command="PRAGMA synchronous=EXTRA; PRAGMA cache_size=77;")
    assert (pragma("synchronous"), pragma("cache_size")) == (3, 77)


def test_pragma_sql_is_for_other_connections_that_read(configure: Any) -> None:
    connection = configure(init_command="PRAGMA cache_size=77", pragmas={"temp_store": None})
    assert connection.pragma_sql() == (
        "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -8000; "
        f"PRAGMA mmap_size = {128 * MIB}; PRAGMA journal_size_limit = {64 * MIB}; "
        "PRAGMA cache_size=77"
    )


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory&cache=shared"])
def test_in_memory(configure: Any, name: str) -> None:
    connection = configure(name)
    sql("CREATE TABLE t (a)")
    sql("INSERT INTO t VALUES (%s)", 1)
    assert pragma("journal_mode") == "memory"
    connection.close()  # as Django has it, the database stays
    assert sql("SELECT a FROM t") == [(1,)]


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_read_only(configure: Any, tmp_path: Path, journal: str) -> None:
    configure(pragmas={"journal_mode": journal})
    sql("CREATE TABLE t (a)")
    path = tmp_path / "db.sqlite3"
    configure(f"file:{path}?mode=ro")
    assert sql("SELECT count(*) FROM t") == [(0,)]
    assert pragma("journal_mode") == journal
    path.chmod(stat.S_IREAD)
    configure(str(path))
    assert sql("SELECT count(*) FROM t") == [(0,)]
