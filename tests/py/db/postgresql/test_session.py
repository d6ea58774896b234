"""What one borrower leaves in a session does not reach the next."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.db import connections, transaction
from pg_things import Things, backend_pid, sql
from psycopg.sql import SQL

from quintette.concurrency import run as in_greenlet
from quintette.db import pool
from quintette.db.postgresql.session import changes_session

STATEMENTS = [
    # (statement, may change the session)
    ("SELECT 1", False),
    ('SELECT "thing"."temp" FROM "thing" WHERE "thing"."a" = %s', False),
    ("INSERT INTO thing VALUES (1)", False),
    ("insert into thing values (';')", True),  # not looked into: one reset too many
    ("SELECT 1; SELECT 2;", False),
    ("SELECT 1; SET search_path = x", True),
    ("WITH a AS (SELECT 1) SELECT * FROM a", False),
    ("  -- why\n SELECT 1", False),
    ("/* SET */ select 1", False),
    ("(SELECT 1) UNION (SELECT 2)", False),
    ("SET search_path = x", True),
    ("set role nobody", True),
    ("SET LOCAL statement_timeout = 1", False),
    ("SET CONSTRAINTS ALL IMMEDIATE", False),
    ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", False),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", True),
    ("RESET ALL", True),
    ("SELECT set_config('a.b', '1', false)", True),
    ("SELECT PG_ADVISORY_LOCK(1)", True),
    ("SELECT pg_try_advisory_lock(1)", True),
    ("SELECT pg_advisory_xact_lock(1)", False),
    ("CREATE TEMP TABLE t (a int)", True),
    ("CREATE TEMPORARY TABLE t (a int)", True),
    ("CREATE TABLE pg_temp.t (a int)", True),
    ("SELECT 1 INTO TEMP t", True),
    ("CREATE TABLE t (a int)", False),
    ("LISTEN news", True),
    ("NOTIFY news", False),
    ("PREPARE p AS SELECT 1", True),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", True),
    ("LOAD 'x'", True),
    ("DO $$ BEGIN END $$", True),
    ("CALL p()", True),
    ("SAVEPOINT s", False),
    ("EXPLAIN SELECT 1", False),
    ("COPY thing TO STDOUT", False),
    ("", False),
    (b"SET a.b = 1", True),
    (b"SELECT 1", False),
    (SQL("SELECT {}").format(1), False),
    (SQL("SET a.b = 1"), True),
]


@pytest.mark.parametrize(("statement", "changes"), STATEMENTS)
def test_which_statements_change_the_session(statement: Any, changes: bool) -> None:
    assert changes_session(statement) is changes


# What is done, how the next borrower would see it, and what it must see.
LEFTOVERS = {
    "setting": ("SET statement_timeout = 12345", "SHOW statement_timeout", "0"),
    "search_path": ("SET search_path = pg_catalog", "SHOW search_path", '"$user", public'),
    "time zone": ("SET TIME ZONE 'Asia/Karachi'", "SHOW TimeZone", "UTC"),
    "function": ("SELECT set_config('a.b', 'c', false)", "SELECT current_setting('a.b', true)", ""),
    "temporary table": ("CREATE TEMP TABLE t (a int)", "SELECT to_regclass('pg_temp.t')", None),
    "advisory lock": (
        "SELECT pg_advisory_lock(1)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
        0,
    ),
    "listening": ("LISTEN news", "SELECT count(*) FROM pg_listening_channels()", 0),
    "prepared": ("PREPARE p AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements", 0),
    "held cursor": (
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "SELECT count(*) FROM pg_cursors WHERE name = 'c'",
        0,
    ),
    "role": ("SET ROLE pg_read_all_data", "SELECT current_user = session_user", True),
}


@pytest.mark.postgresql
@pytest.mark.parametrize("name", LEFTOVERS)
def test_leftovers_are_reset(run: Any, name: str) -> None:
    statement, look, expected = LEFTOVERS[name]

    async def main() -> None:
        def leave() -> int:
            sql(statement)
            return backend_pid()

        pid = await asyncio.create_task(in_greenlet(leave))
        await asyncio.sleep(0)
        await pool.settled()
        assert await asyncio.create_task(in_greenlet(backend_pid)) == pid
        assert await asyncio.create_task(in_greenlet(sql, look)) == [(expected,)]
        assert pool.stats()["pg"].cleaned == 1

    run(main())


@pytest.mark.postgresql
@pytest.mark.parametrize(("policy", "cleaned"), [("auto", 0), ("always", 3), ("never", 0)])
def test_policies(run: Any, pg: dict[str, Any], policy: str, cleaned: int) -> None:
    pg["OPTIONS"]["loop_pool"]["reset"] = policy

    async def main() -> None:
        for _ in range(3):
            await asyncio.create_task(in_greenlet(backend_pid))
            await asyncio.sleep(0)
            await pool.settled()
        assert pool.stats()["pg"].cleaned == cleaned

    run(main())


@pytest.mark.postgresql
def test_an_open_transaction_is_rolled_back(run: Any) -> None:
    async def main() -> None:
        def leave() -> None:
            connections["pg"].set_autocommit(False)
            Things.create(name="lost")

        await asyncio.create_task(in_greenlet(leave))
        await asyncio.sleep(0)
        await pool.settled()
        assert await in_greenlet(sql, "SELECT * FROM thing") == []

    run(main())


@pytest.mark.postgresql
def test_cursors_at_the_server_that_are_closed_need_no_reset(run: Any) -> None:
    async def main() -> None:
        def iterate() -> int:
            with transaction.atomic(using="pg"):
                for i in range(30):
                    Things.create(name=str(i))
            return len(list(Things.iterator(chunk_size=7)))

        assert await asyncio.create_task(in_greenlet(iterate)) == 30
        await asyncio.sleep(0)
        assert pool.stats()["pg"].cleaned == 0

    run(main())


@pytest.mark.postgresql
def test_a_cursor_at_the_server_left_open_is_closed(run: Any) -> None:
    async def main() -> None:
        def iterate() -> Any:
            Things.create(name="a")
            Things.create(name="b")
            rows = Things.iterator(chunk_size=1)
            assert next(rows)
            return rows

        rows = await asyncio.create_task(in_greenlet(iterate))
        await asyncio.sleep(0)
        await pool.settled()
        assert await asyncio.create_task(in_greenlet(sql, "SELECT count(*) FROM pg_cursors")) == [
            (0,)
        ]
        await in_greenlet(rows.close)

    run(main())


@pytest.mark.postgresql
def test_prepared_statements_of_psycopg_stay(run: Any, pg: dict[str, Any]) -> None:
    pg["OPTIONS"].update(server_side_binding=True, prepare_threshold=0)

    async def main() -> None:
        look = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%::int + 1'"
        for _ in range(3):
            task = in_greenlet(sql, "SELECT %s::int + 1", 1)
            assert await asyncio.create_task(task) == [(2,)]
            await asyncio.sleep(0)
        assert await asyncio.create_task(in_greenlet(sql, look)) == [(1,)]

    run(main())


@pytest.mark.postgresql
def test_the_assumed_role_comes_back_after_a_reset(run: Any, pg: dict[str, Any]) -> None:
    pg["OPTIONS"]["assume_role"] = "pg_read_all_data"

    async def main() -> None:
        look = "SELECT current_user"
        assert await asyncio.create_task(in_greenlet(sql, look)) == [("pg_read_all_data",)]
        await asyncio.create_task(in_greenlet(sql, "SET work_mem = '1MB'"))
        await asyncio.sleep(0)
        await pool.settled()
        assert await asyncio.create_task(in_greenlet(sql, look)) == [("pg_read_all_data",)]
        assert pool.stats()["pg"].opened == 1

    run(main())
