"""What Django and psycopg can do, in greenlets and outside of a loop, while others run on."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, IntegrityError, close_old_connections, connections, transaction
from django.db.backends.postgresql import base as django_base
from django.db.models import F, Sum
from pg_things import Thing, Things, backend_pid, names, sql

from quintette.concurrency import run as in_greenlet
from quintette.db import pool

pytestmark = pytest.mark.postgresql
Admin = psycopg.Connection[Any]


async def beside(func: Callable[..., Any], *args: Any) -> tuple[Any, int]:
    """Its result, and how many turns of the loop others had meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    counting = asyncio.create_task(count())
    result = await asyncio.create_task(in_greenlet(func, *args))
    counting.cancel()
    return result, turns


# --- each feature, as synchronous code: run in a greenlet and in a thread without a loop ----------


def savepoints() -> None:
    with transaction.atomic(using="pg"):
        Things.create(name="outer")
        with pytest.raises(IntegrityError), transaction.atomic(using="pg"):
            Things.create(name="outer")
        with transaction.atomic(using="pg"):
            Things.create(name="inner")
    assert names() == {"outer", "inner"}


def on_commit() -> None:
    called: list[int] = []
    with transaction.atomic(using="pg"):
        transaction.on_commit(lambda: called.append(1), using="pg")
        assert called == []
    assert called == [1]
    with suppress(ZeroDivisionError), transaction.atomic(using="pg"):
        transaction.on_commit(lambda: called.append(2), using="pg")
        raise ZeroDivisionError
    assert called == [1]


def durable() -> None:
    with (
        transaction.atomic(using="pg"),
        pytest.raises(RuntimeError, match="durable"),
        transaction.atomic(using="pg", durable=True),
    ):
        pass


def manual_transactions() -> None:
    connections["pg"].set_autocommit(False)
    Things.create(name="a")
    connections["pg"].commit()
    Things.create(name="b")
    connections["pg"].rollback()
    connections["pg"].set_autocommit(True)
    assert names() == {"a"}


def server_side_cursor() -> None:
    Things.bulk_create([Thing(name=str(i)) for i in range(50)])
    assert [t.name for t in Things.order_by("id").iterator(chunk_size=7)] == [
        str(i) for i in range(50)
    ]
    with transaction.atomic(using="pg"):
        assert len(list(Things.iterator(chunk_size=7))) == 50


def copy() -> None:
    with connections["pg"].cursor() as cursor:
        with cursor.copy("COPY thing (name, n) FROM STDIN") as into:
            for i in range(5000):
                into.write_row((str(i), i))
        with cursor.copy("COPY (SELECT n FROM thing ORDER BY n) TO STDOUT") as out:
            assert [int(row[0]) for row in out.rows()] == list(range(5000))


def pipeline() -> None:
    with connections["pg"].cursor() as cursor:
        with cursor.connection.pipeline():
            cursor.execute("INSERT INTO thing (name) VALUES ('p')")
            cursor.execute("SELECT count(*) FROM thing")
            assert cursor.fetchall() == [(1,)]
        cursor.executemany("INSERT INTO thing (name) VALUES (%s)", [("q",), ("r",)])
    assert names() == {"p", "q", "r"}


def binary() -> None:
    connections["pg"].ensure_connection()
    raw = connections["pg"].connection
    with psycopg.Cursor(raw) as cursor:
        cursor.format = psycopg.pq.Format.BINARY
        cursor.execute("SELECT 1::int8")
        assert cursor.pgresult.get_value(0, 0) == b"\0\0\0\0\0\0\0\1"


def large() -> None:
    """More than the socket's buffers, to the server and back."""
    text = "x" * 3_000_000
    assert sql("SELECT %s", text) == [(text,)]


def execute_wrapper() -> None:
    seen = []

    def wrapper(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with connections["pg"].execute_wrapper(wrapper):
        sql("SELECT 7")
    sql("SELECT 8")
    assert seen == ["SELECT 7"]


def reopening() -> None:
    first = backend_pid()
    connections["pg"].close()
    assert backend_pid()
    connections["pg"].close_if_unusable_or_obsolete()
    close_old_connections()
    assert connections["pg"].is_usable() is False
    connections.close_all()
    assert first
    assert backend_pid()
    assert connections["pg"].is_usable()


def other_database() -> None:
    """Without a database of its own, as when a test database is created."""
    with connections["pg"]._nodb_cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchall() == [("postgres",)]


def stream() -> None:
    connections["pg"].ensure_connection()
    with connections["pg"].connection.cursor() as cursor:
        assert sum(n for (n,) in cursor.stream("SELECT generate_series(1, 1000)")) == 500500


FEATURES = [
    savepoints,
    on_commit,
    durable,
    manual_transactions,
    server_side_cursor,
    copy,
    pipeline,
    binary,
    large,
    execute_wrapper,
    reopening,
    other_database,
    stream,
]


@pytest.mark.parametrize("binding", [False, True], ids=["client", "server"])
@pytest.mark.parametrize("feature", FEATURES)
def test_in_a_greenlet(run: Any, pg: dict[str, Any], feature: Any, binding: bool) -> None:
    pg["OPTIONS"]["server_side_binding"] = binding

    async def main() -> None:
        await asyncio.create_task(in_greenlet(feature))

    run(main())


@pytest.mark.parametrize("feature", FEATURES)
def test_outside_of_a_loop(pg: dict[str, Any], feature: Any) -> None:
    def in_thread() -> None:
        try:
            feature()
        except BaseException as error:
            errors.append(error)
        finally:
            connections["pg"].close()

    errors: list[BaseException] = []
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join(60)
    assert not errors, errors
    feature_in_main = feature is not reopening
    if feature_in_main:
        sql("TRUNCATE thing")
        feature()


# --- waiting lets others run ----------------------------------------------------------------------

SLOW: dict[str, Callable[[], Any]] = {
    "statement": lambda: sql("SELECT pg_sleep(0.1)"),
    "connecting": lambda: sql("SELECT 1"),
    "copy": copy,
    "large": large,
    "server side cursor": lambda: list(
        connections["pg"]
        .chunked_cursor()
        .execute("SELECT pg_sleep(0.01) FROM generate_series(1, 10)")
        or []
    ),
}


@pytest.mark.parametrize("name", SLOW)
def test_others_run_meanwhile(run: Any, name: str) -> None:
    async def main() -> None:
        _, turns = await beside(SLOW[name])
        assert turns >= 2

    run(main())


def test_notifications(run: Any, pg_database: Admin, pg: dict[str, Any]) -> None:
    def listen() -> list[str]:
        with connections["pg"].cursor() as cursor:
            cursor.execute("LISTEN news")
        listening.set()
        raw = connections["pg"].connection
        return [news.payload for news in raw.notifies(timeout=60, stop_after=2)]

    def nothing_comes() -> list[str]:
        connections["pg"].ensure_connection()
        return list(connections["pg"].connection.notifies(timeout=0.05))

    async def main() -> None:
        hearing = asyncio.create_task(beside(listen))
        await listening.wait()
        await in_greenlet(sql, "NOTIFY news, 'one'")
        await in_greenlet(sql, "NOTIFY news, 'two'")
        heard, _ = await hearing
        assert heard == ["one", "two"]
        assert (await beside(nothing_comes))[0] == []

    listening = asyncio.Event()
    run(main())


def test_a_row_that_is_locked_is_waited_for(run: Any) -> None:
    async def add() -> None:
        async with transaction.atomic(using="pg"):
            thing = await Things.select_for_update().aget(name="counter")
            await asyncio.sleep(0.005)
            thing.n += 1
            await thing.asave()

    async def main() -> None:
        await Things.acreate(name="counter", n=0)
        await asyncio.gather(*[add() for _ in range(10)])
        assert (await Things.aget()).n == 10

    run(main())


def test_the_asynchronous_names(run: Any) -> None:
    async def main() -> None:
        await Things.abulk_create([Thing(name=str(i), n=i) for i in range(10)])
        assert await Things.acount() == 10
        assert await Things.aexists()
        assert (await Things.aget(name="3")).n == 3
        assert await Things.filter(n__lt=5).aupdate(n=F("n") + 100) == 5
        assert [t.n async for t in Things.order_by("n")][:2] == [5, 6]
        assert len(await Things.ain_bulk()) == 10
        assert (await Things.afirst()) is not None
        assert (await Things.aaggregate(n=Sum("n")))["n"] == 545
        assert [t.name async for t in Things.order_by("id").aiterator(chunk_size=3)] == [
            str(i) for i in range(10)
        ]
        assert (await Things.filter(n__gt=7).adelete())[0] == 7
        thing, created = await Things.aget_or_create(name="new")
        assert created
        thing.n = 1
        await thing.asave()
        await thing.arefresh_from_db()
        assert pool.stats()["pg"].opened <= 2

    run(main())


def test_a_coroutine_itself_may_not_block(run: Any) -> None:
    async def main() -> None:
        with pytest.raises(SynchronousOnlyOperation):
            sql("SELECT 1")
        # What does not wait is allowed: signals of a request are sent there, too.
        connections["pg"].close_if_unusable_or_obsolete()

    run(main())


def test_three_hundred_transactions_at_once(run: Any) -> None:
    """On five connections: each keeps what it should, and nothing of what it should not."""

    def work(i: int) -> None:
        with transaction.atomic(using="pg"):
            Things.create(name=f"outer {i}", n=i)
            for j in range(3):
                with suppress(ZeroDivisionError), transaction.atomic(using="pg"):
                    Things.create(name=f"inner {i} {j}")
                    assert Things.filter(name__endswith=f" {i}", n=i).count() == 1
                    raise ZeroDivisionError
            if i % 3 == 0:
                raise ArithmeticError

    async def main() -> None:
        outcomes = await asyncio.gather(
            *[in_greenlet(work, i) for i in range(300)], return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {ArithmeticError, type(None)}
        assert await in_greenlet(names) == {f"outer {i}" for i in range(300) if i % 3}
        assert pool.stats()["pg"].opened <= 5

    run(main())


# --- outside of a loop it is Django's -------------------------------------------------------------


def test_connections_of_threads_are_warned_about_when_they_are_not_closed(
    pg: dict[str, Any],
) -> None:
    sql("SELECT 1")
    wrapper: Any = connections["pg"].copy()
    wrapper.ensure_connection()
    with pytest.warns(ResourceWarning, match="still open"):
        wrapper.connection.__del__()
    wrapper.close()


def test_the_loops_options_do_not_reach_psycopg(pg: dict[str, Any]) -> None:
    params = connections["pg"].get_connection_params()
    plain = dict(pg, OPTIONS={})
    django = django_base.DatabaseWrapper(plain, "pg").get_connection_params()
    assert params.keys() == django.keys()


# --- BEGIN travels with the first statement -------------------------------------------------------


def test_begin_costs_no_round_trip(run: Any) -> None:
    def count() -> list[int]:
        connections["pg"].ensure_connection()
        raw = connections["pg"].connection
        sent: list[int] = []
        plain = raw.wait

        def counting(gen: Any, *args: Any, **kwargs: Any) -> Any:
            def steps() -> Any:
                result = yield from gen
                sent.append(raw.pgconn.transaction_status)
                return result

            return plain(steps(), *args, **kwargs)

        raw.wait = counting
        with transaction.atomic(using="pg"), connections["pg"].cursor() as cursor:
            cursor.execute("SELECT 1; SELECT 2")
            assert cursor.fetchall() == [(1,)]
            assert cursor.nextset()
            assert cursor.fetchall() == [(2,)]
            assert cursor.nextset() is None
        del raw.wait
        return sent

    async def main() -> None:
        idle, intrans = psycopg.pq.TransactionStatus.IDLE, psycopg.pq.TransactionStatus.INTRANS
        # Autocommit off, the statement, COMMIT, autocommit on: only two of them wait.
        assert await in_greenlet(count) == [idle, intrans, idle, idle]

    run(main())


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELEC", "syntax"),
        ("SELECT 1/0", "division"),
        ("VACUUM", "transaction block"),
        ("-- nothing", None),
        ("", None),
    ],
)
def test_a_first_statement_that_fails_fails_its_transaction(
    run: Any, statement: str, error: str | None
) -> None:
    def work() -> None:
        with transaction.atomic(using="pg"):
            sql(statement)
            Things.create(name="written")

    async def main() -> None:
        if error is None:
            await in_greenlet(work)
        else:
            with pytest.raises(DatabaseError, match=error):
                await in_greenlet(work)
        assert await in_greenlet(names) == (set() if error else {"written"})

    run(main())


def test_the_isolation_level_is_kept(run: Any, pg: dict[str, Any]) -> None:
    pg["OPTIONS"]["isolation_level"] = psycopg.IsolationLevel.SERIALIZABLE

    def level() -> str:
        with transaction.atomic(using="pg"):
            return sql("SHOW transaction_isolation")[0][0]

    async def main() -> None:
        assert await in_greenlet(level) == "serializable"

    run(main())


def test_iterators_that_are_dropped_on_the_loop(run: Any, monkeypatch: Any) -> None:
    """Nothing can wait where the loop closes them: their cursors end with the session."""
    ignored: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)

    async def main() -> None:
        await Thing.objects.using("pg").abulk_create([Thing(name=str(n)) for n in range(9)])

        async def drop() -> None:
            for _ in range(5):
                iterator = aiter(Things.order_by("id").aiterator(chunk_size=3))
                assert (await anext(iterator)).name == "0"
                del iterator
                assert await Things.acount() == 9

        for _ in range(3):
            await asyncio.create_task(drop())
        await asyncio.sleep(0)
        await pool.settled()
        assert pool.stats()["pg"].cleaned == 3
        assert await in_greenlet(sql, "SELECT count(*) FROM pg_cursors WHERE is_holdable") == [(0,)]

    run(main())
    assert not ignored
