"""On an event loop: what runs there, what goes to a thread, and what a task gets to see."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connections, transaction
from sqlite_things import LONG_SQL, LONG_SUM, Things, names, sql

from quintette.concurrency import run as in_greenlet
from quintette.concurrency import wait_for
from quintette.db import pool
from quintette.db.sqlite3 import checkpoint, gate
from quintette.db.sqlite3 import cursor as cursors


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that went to a thread."""
    errands: list[str] = []
    run = gate.Errand.run

    def noting(self: Any) -> Any:
        errands.append("errand")
        return run(self)

    monkeypatch.setattr(gate.Errand, "run", noting)
    return errands


def fill(count: int) -> None:
    sql(
        "INSERT INTO thing (name, n) WITH RECURSIVE n(i) AS "
        f"(SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT {count}) SELECT 'thing ' || i, i FROM n"
    )


def test_short_reads_and_writes_stay_on_the_loop(sq: Any, run: Any, threads: list[str]) -> None:
    fill(5)
    # The budget is that of this test, whatever else the machine does.
    sq.settings_dict["OPTIONS"]["read_budget_ms"] = 1000

    def work() -> None:
        with transaction.atomic(using="sq"):
            Things.create(name="new")
        Things.create(name="newer")
        assert Things.count() == 7
        assert {thing.n for thing in Things.filter(n__lt=2)} == {0, 1}
        assert sql("SELECT n FROM thing WHERE name = %s", "thing 3") == [(3,)]

    run(in_greenlet(work))
    assert not threads


def test_a_long_read_goes_to_a_thread_and_is_remembered(
    sq: Any, run: Any, threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    look = gate.Budget._look
    monkeypatch.setattr(gate.Budget, "_look", lambda self: looks.append(self) or look(self))

    async def main() -> None:
        assert await in_greenlet(sql, LONG_SQL) == [(LONG_SUM,)]
        assert threads == ["errand"]
        assert looks
        looks.clear()
        assert await asyncio.create_task(in_greenlet(sql, LONG_SQL)) == [(LONG_SUM,)]
        assert threads == ["errand"] * 2
        assert not looks  # it was not tried on the loop

    run(main())


def test_the_loop_goes_on_meanwhile(sq: Any, run: Any) -> None:
    async def main() -> None:
        reading = asyncio.create_task(in_greenlet(sql, LONG_SQL))
        turns = 0
        while not reading.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 10

    run(main())


def test_a_stopped_read_leaves_the_transaction_as_it_was(sq: Any, run: Any) -> None:
    def work() -> None:
        with transaction.atomic(using="sq"):
            Things.create(name="kept")
            assert sql(LONG_SQL) == [(LONG_SUM,)]
            with transaction.atomic(using="sq"):
                Things.create(name="too")
        assert names() == {"kept", "too"}

    run(in_greenlet(work))


def test_long_results_come_in_steps(sq: Any, run: Any, threads: list[str]) -> None:
    rows = cursors.ROWS_AT_ONCE
    fill(3 * rows + 7)

    def work() -> None:
        numbers = [thing.n for thing in Things.order_by("n").iterator(chunk_size=300)]
        assert numbers == list(range(3 * rows + 7))
        assert len(threads) >= 3
        with connections["sq"].cursor() as cursor:
            for fetch in (
                lambda: [*cursor.fetchmany(rows + 5), *cursor.fetchall()],
                lambda: list(iter(cursor.fetchone, None)),
                lambda: list(cursor),
                cursor.fetchall,
            ):
                cursor.execute("SELECT n FROM thing ORDER BY n")
                assert [n for (n,) in fetch()] == numbers
                assert cursor.fetchmany(3) == []
                assert cursor.fetchone() is None

    run(in_greenlet(work))


def test_what_returning_returns(sq: Any, run: Any) -> None:
    """All of it, and the lock is free afterwards, though nobody has fetched anything."""

    def work() -> None:
        with connections["sq"].cursor() as cursor:
            cursor.execute("INSERT INTO thing (name) VALUES ('a'), ('b') RETURNING name")
            assert not connections["sq"]._gate._holding
            assert cursor.fetchall() == [("a",), ("b",)]

    work()
    sql("DELETE FROM thing")
    run(in_greenlet(work))


def test_errors_are_djangos(sq: Any, run: Any) -> None:
    def work() -> None:
        Things.create(name="a")
        with pytest.raises(IntegrityError):
            Things.create(name="a")
        with pytest.raises(OperationalError, match="no such table"):
            sql("SELECT * FROM nowhere")
        assert names() == {"a"}

    run(in_greenlet(work))


def test_a_cancelled_read_has_left_its_connection(sq: Any, run: Any) -> None:
    started = threading.Event()

    def notice() -> int:
        started.set()
        return 0

    def work() -> None:
        with transaction.atomic(using="sq"):
            Things.create(name="undone")
            raw = connections["sq"].connection
            raw.create_function("notice", 0, notice)
            endless = LONG_SQL.replace("LIMIT 1000000", "").replace("SELECT 1 ", "SELECT notice() ")
            connections["sq"]._gate._slow.add(endless)
            with connections["sq"].cursor() as cursor:
                cursor.execute(endless)

    async def main() -> None:
        task = asyncio.create_task(in_greenlet(work))
        await asyncio.to_thread(started.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Its transaction is undone, and others may write.
        await in_greenlet(Things.create, name="next")
        assert await in_greenlet(names) == {"next"}

    run(main())


def test_writers_wait_in_greenlets(sq: Any, run: Any) -> None:
    """In the order of asking; the loop goes on."""
    order = []

    async def main() -> None:
        written = asyncio.Event()
        finish = asyncio.Event()

        def first() -> None:
            with transaction.atomic(using="sq"):
                Things.create(name="first")
                written.set()
                wait_for(finish.wait())

        def other(name: str) -> None:
            with transaction.atomic(using="sq"):
                order.append(name)
                Things.create(name=name)

        tasks = [asyncio.create_task(in_greenlet(first))]
        await written.wait()
        for name in "abcde":
            tasks.append(asyncio.create_task(in_greenlet(other, name)))
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert order == []
        assert await in_greenlet(names) == set()  # readers do not wait
        finish.set()
        await asyncio.gather(*tasks)
        assert order == list("abcde")

    run(main())


@pytest.fixture
def rival(sq: Any) -> Iterator[sqlite3.Connection]:
    """Another process, as far as SQLite can tell."""
    connection = sqlite3.connect(sq.settings_dict["NAME"], isolation_level=None, timeout=0)
    yield connection
    connection.close()


def test_a_writer_outlasts_another_process(sq: Any, run: Any, rival: sqlite3.Connection) -> None:
    async def main() -> None:
        rival.execute("BEGIN IMMEDIATE")
        tasks = [
            asyncio.create_task(in_greenlet(Things.create, name=name)) for name in ("a", "b", "c")
        ]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in tasks)
        rival.execute("COMMIT")
        await asyncio.gather(*tasks)
        assert await in_greenlet(names) == {"a", "b", "c"}

    run(main())


def test_a_writer_gives_up_in_time(configure: Any, run: Any, sq: Any) -> None:
    configure(timeout=0.05)
    path = connections["sq"].settings_dict["NAME"]

    async def main() -> None:
        rival = sqlite3.connect(path, isolation_level=None)
        rival.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="database is locked"):
            await in_greenlet(Things.create, name="a")
        rival.close()
        await in_greenlet(Things.create, name="b")

        def holder() -> None:
            in_turn = pytest.raises(OperationalError, match=r"had their turn for all of 0\.05 s")
            with transaction.atomic(using="sq"), in_turn:
                wait_for(asyncio.create_task(in_threads()))

        async def in_threads() -> None:
            await asyncio.to_thread(Things.create, name="c")

        await in_greenlet(holder)
        assert await in_greenlet(names) == {"b"}

    run(main())


def test_deferred_transactions_that_cannot_write_any_more(
    configure: Any, run: Any, sq: Any, rival: sqlite3.Connection
) -> None:
    """To wait would be of no use: told at once, and the turn is given away."""
    configure(transaction_mode="DEFERRED", timeout=600)

    def work() -> None:
        with transaction.atomic(using="sq"):
            assert names() == set()
            rival.execute("INSERT INTO thing (name) VALUES ('rival')")
            Things.create(name="late")

    async def main() -> None:
        async with asyncio.timeout(60):
            with pytest.raises(OperationalError, match="database is locked"):
                await in_greenlet(work)
        await in_greenlet(Things.create, name="next")

    run(main())


def test_reads_that_wait_for_a_lock_go_to_a_thread(
    configure: Any, run: Any, sq: Any, threads: list[str], rival: sqlite3.Connection
) -> None:
    """Without a write-ahead log readers do wait for writers; so do connections that open."""
    configure(pragmas={"journal_mode": "DELETE"})
    assert sql("PRAGMA journal_mode") == [("delete",)]

    async def main() -> None:
        assert await in_greenlet(names) == set()
        rival.execute("BEGIN EXCLUSIVE")
        opening = asyncio.create_task(in_greenlet(names))

        async def release() -> None:
            while not threads:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            assert not opening.done()
            rival.execute("COMMIT")

        releasing = asyncio.create_task(release())
        assert await in_greenlet(names) == set()
        await releasing
        assert await opening == set()

    run(main())


def test_tasks_of_a_transaction_share_it(sq: Any, run: Any) -> None:
    def work() -> None:
        with transaction.atomic(using="sq"):
            Things.create(name="outer")

            async def both() -> None:
                await asyncio.gather(
                    in_greenlet(sql, LONG_SQL),
                    asyncio.create_task(in_greenlet(Things.create, name="inner")),
                )

            wait_for(both())
            assert names() == {"outer", "inner"}

    run(in_greenlet(work))
    assert names() == {"outer", "inner"}


def test_tasks_have_connections_of_their_own(sq: Any, run: Any) -> None:
    async def main() -> None:
        begun = asyncio.Event()
        finish = asyncio.Event()

        def one() -> None:
            with transaction.atomic(using="sq"):
                Things.create(name="mine")
                begun.set()
                wait_for(finish.wait())

        task = asyncio.create_task(in_greenlet(one))
        await begun.wait()
        assert await in_greenlet(names) == set()
        finish.set()
        await task
        assert await in_greenlet(names) == {"mine"}

    run(main())


def test_what_a_task_has_changed_of_a_connection_is_gone(sq: Any, run: Any) -> None:
    async def main() -> None:
        async def task(*statements: str) -> list[list[Any]]:
            return [await in_greenlet(sql, statement) for statement in statements]

        await asyncio.create_task(task("CREATE TEMP TABLE t (a)", "PRAGMA query_only = ON"))
        await asyncio.sleep(0)
        await asyncio.create_task(task("BEGIN IMMEDIATE"))  # and never ended
        await asyncio.sleep(0)
        found = await asyncio.create_task(
            task("PRAGMA query_only", "SELECT count(*) FROM sqlite_temp_schema")
        )
        assert found == [[(0,)], [(0,)]]
        await asyncio.create_task(task("INSERT INTO thing (name) VALUES ('a')"))

    run(main())


def test_more_tasks_than_connections(configure: Any, run: Any, sq: Any) -> None:
    """Those that are between two statements give theirs up."""
    configure(loop_pool={"size": 2, "timeout": 60.0})

    async def main() -> None:
        async def task(i: int) -> None:
            await in_greenlet(Things.create, name=str(i))
            await asyncio.sleep(0.01)
            assert await in_greenlet(Things.filter(name=str(i)).count) == 1

        await asyncio.gather(*(asyncio.create_task(task(i)) for i in range(20)))
        stats = pool.stats()["sq"]
        assert stats.open == 2
        assert stats.reclaimed > 0

    run(main())


def test_many_tasks_with_errors_and_cancellations(configure: Any, run: Any, sq: Any) -> None:
    """What a task was told is so: a commit that it saw is there, what was undone is not."""
    configure(loop_pool={"size": 5, "timeout": 60.0}, timeout=60)
    committed: set[str] = set()

    def work(i: int) -> None:
        with transaction.atomic(using="sq"):
            Things.create(name=f"first {i}", n=i)
            wait_for(asyncio.sleep(0.001))
            assert sql("SELECT name FROM thing WHERE n = %s", i) == [(f"first {i}",)]
            if i % 5 == 0:
                raise ZeroDivisionError
            Things.create(name=f"second {i}", n=i)
        committed.update((f"first {i}", f"second {i}"))

    async def main() -> None:
        tasks = [asyncio.create_task(in_greenlet(work, i)) for i in range(60)]
        for i, task in enumerate(tasks):
            if i % 3 == 0:
                await asyncio.sleep(0.002)
                task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        expected = (type(None), ZeroDivisionError, asyncio.CancelledError)
        assert {type(end) for end in ends} <= set(expected), ends
        assert ends.count(None) >= 30
        assert await in_greenlet(names) == committed
        assert len(committed) == 2 * ends.count(None)

    run(main())


def test_checkpoints_are_made_in_a_thread(
    sq: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "WRITES", 5)
    ran_in = []
    make = checkpoint.Checkpoints._run
    done = threading.Event()

    def noting(self: Any) -> None:
        ran_in.append(threading.current_thread())
        make(self)
        done.set()

    monkeypatch.setattr(checkpoint.Checkpoints, "_run", noting)
    path = sq.settings_dict["NAME"]

    def in_file() -> int:
        """Rows that are not in the write-ahead log alone."""
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
            return connection.execute("SELECT count(*) FROM thing").fetchone()[0]

    async def main() -> None:
        await in_greenlet(sql, "PRAGMA wal_checkpoint(TRUNCATE)")
        for name in "abcd":
            await in_greenlet(Things.create, name=name)
        assert in_file() == 0
        await in_greenlet(Things.create, name="e")
        await asyncio.to_thread(done.wait, 60)
        assert in_file() == 5
        assert len(ran_in) == 1
        assert ran_in[0] is not threading.current_thread()
        # Should the threads not keep up, or one fail, SQLite does it.
        assert await in_greenlet(sql, "PRAGMA wal_autocheckpoint") == [(checkpoint.PAGES_AT_MOST,)]

    run(main())


def test_checkpoints_that_fail_are_told(caplog: pytest.LogCaptureFixture) -> None:
    failing = checkpoint.Checkpoints("file:/nonexistent/db?mode=rw")
    failing._running = True
    failing._run()
    assert "No checkpoint of file:/nonexistent/db?mode=rw: unable to open" in caplog.text
    assert not failing._running


def test_a_database_in_memory_is_one_for_all_tasks(configure: Any, run: Any) -> None:
    configure(":memory:")

    async def main() -> None:
        async def task(statement: str) -> list[Any]:
            return await in_greenlet(sql, statement)

        await asyncio.create_task(task("CREATE TABLE t (a)"))
        await asyncio.gather(
            *(asyncio.create_task(task(f"INSERT INTO t VALUES ({i})")) for i in range(20))
        )
        assert await asyncio.create_task(task("SELECT sum(a) FROM t")) == [(190,)]

    run(main())
