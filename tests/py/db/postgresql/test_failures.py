"""Servers that go away, statements that are cancelled, commits nobody knows the outcome of."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connections, transaction
from pg_things import Things, backend_pid, names, sql, until, until_locks_are_waited_for

from quintette.concurrency import run as in_greenlet
from quintette.concurrency import wait_for
from quintette.db import pool
from quintette.db.postgresql import source
from quintette.db.postgresql.base import CommitOutcomeUnknownError

pytestmark = pytest.mark.postgresql
Admin = psycopg.Connection[Any]


def kill(admin: Admin, pid: int) -> None:
    """Returns when that back end is gone, not only told to go."""
    assert admin.execute("SELECT pg_terminate_backend(%s, 60000)", [pid]).fetchone() == (True,)


async def until_running(admin: Admin, pid: int) -> None:
    """Until that back end is busy with a statement."""
    query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
    await until(lambda: admin.execute(query, [pid]).fetchone())


# --- killed back ends: one row for each state -----------------------------------------------------


def test_killed_while_it_is_in_the_pool(run: Any, pg_database: Admin) -> None:
    async def main() -> None:
        pid = await asyncio.create_task(in_greenlet(backend_pid))
        await asyncio.sleep(0)
        kill(pg_database, pid)
        assert await asyncio.create_task(in_greenlet(backend_pid)) != pid
        assert pool.stats()["pg"].found_dead == 1

    run(main())


def test_all_of_them_killed_in_the_pool(run: Any, pg_database: Admin) -> None:
    async def main() -> None:
        def slow() -> int:
            return sql("SELECT pg_backend_pid() FROM pg_sleep(0.05)")[0][0]

        pids = await asyncio.gather(*[in_greenlet(slow) for _ in range(5)])
        await asyncio.sleep(0)
        for pid in pids:
            kill(pg_database, pid)
        again = await asyncio.gather(*[in_greenlet(slow) for _ in range(5)])
        assert not set(pids) & set(again)

    run(main())


def test_told_of_its_end_which_has_yet_to_come(
    run: Any, pg: dict[str, Any], pg_database: Admin
) -> None:
    """The server says why it closes the connection, and closes it later."""

    async def main() -> None:
        with through_proxy(pg) as proxy:
            pid = await asyncio.create_task(in_greenlet(backend_pid))
            await asyncio.sleep(0)
            kill(pg_database, pid)
            await until(proxy.ended.is_set)
            assert await asyncio.create_task(in_greenlet(backend_pid)) != pid
            assert pool.stats()["pg"].found_dead == 1

    run(main())


def test_a_notice_is_no_goodbye(run: Any) -> None:
    """A changed parameter comes to an idle connection, and what the server has to say besides."""

    async def main() -> None:
        heard = []
        pid = await asyncio.create_task(in_greenlet(backend_pid))
        await asyncio.sleep(0)
        (kept,) = pool.pools_here()["pg"]._idle
        pgconn: Any = kept.item.pgconn
        pgconn.notice_handler = lambda result: heard.append(result.error_field(b"M"[0]))
        pgconn.send_query(b"DO $$ BEGIN RAISE WARNING 'look out'; END $$")
        await until(lambda: not source.still_there(pgconn) or not pgconn.is_busy())
        assert heard == [b"look out"]
        while pgconn.get_result():
            pass
        assert await asyncio.create_task(in_greenlet(backend_pid)) == pid

    run(main())


def test_a_crash_of_the_server_is_told_by_a_warning(run: Any) -> None:
    async def main() -> None:
        await asyncio.create_task(in_greenlet(backend_pid))
        await asyncio.sleep(0)
        (kept,) = pool.pools_here()["pg"]._idle
        pgconn: Any = kept.item.pgconn
        pgconn.send_query(b"DO $$ BEGIN RAISE WARNING USING ERRCODE = '57P02'; END $$")
        said = [source.still_there(pgconn)]
        while pgconn.is_busy():
            await asyncio.sleep(0.001)
            said.append(source.still_there(pgconn))
        assert False in said
        while pgconn.get_result():
            pass

    run(main())


def test_killed_between_two_statements_of_a_task(run: Any, pg_database: Admin) -> None:
    """The statement that meets it fails, since it may have run; the next one does not."""

    async def main() -> None:
        kill(pg_database, await in_greenlet(backend_pid))
        with pytest.raises(OperationalError):
            await in_greenlet(backend_pid)
        assert await in_greenlet(backend_pid)

    run(main())


def test_killed_during_a_statement(run: Any, pg_database: Admin) -> None:
    async def main() -> None:
        pid = await in_greenlet(backend_pid)
        task = asyncio.create_task(in_greenlet(sql, "SELECT pg_sleep(20), pg_backend_pid()"))
        query = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(20)%'"
        row = await until(lambda: pg_database.execute(query).fetchone())
        kill(pg_database, row[0])
        with pytest.raises(OperationalError):
            await task
        assert await in_greenlet(backend_pid) in (pid, await in_greenlet(backend_pid))

    run(main())


def test_killed_inside_a_transaction(run: Any, pg_database: Admin) -> None:
    async def main() -> None:
        with pytest.raises(OperationalError):
            await asyncio.create_task(writing())
        assert await in_greenlet(names) == set()

    async def writing() -> None:
        async with transaction.atomic(using="pg"):
            await Things.acreate(name="lost")
            kill(pg_database, await in_greenlet(backend_pid))
            await Things.acreate(name="lost, too")

    run(main())


def test_killed_before_the_commit(run: Any, pg_database: Admin) -> None:
    """Nothing was committed, and that is known: no CommitOutcomeUnknownError."""

    async def writing() -> None:
        async with transaction.atomic(using="pg"):
            await Things.acreate(name="lost")
            kill(pg_database, await in_greenlet(backend_pid))

    async def main() -> None:
        with pytest.raises(OperationalError) as caught:
            await asyncio.create_task(writing())
        assert not isinstance(caught.value, CommitOutcomeUnknownError)
        assert await in_greenlet(names) == set()

    run(main())


class Proxy:
    """Passes bytes between a client and PostgreSQL, until it swallows the answer to COMMIT. That
    the server has closed a connection it keeps to itself: `ended`."""

    def __init__(self, host: str, port: int, *, forwards_commit: bool) -> None:
        self.ended = threading.Event()
        self.server = (host, port)
        self.forwards_commit = forwards_commit
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                threading.Thread(target=self.session, args=(client,), daemon=True).start()

    def session(self, client: socket.socket) -> None:
        server = socket.create_connection(self.server)
        answers = threading.Thread(target=self.pump, args=(server, client), daemon=True)
        answers.start()
        with suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT" in data:
                    client.shutdown(socket.SHUT_WR)
                    if self.forwards_commit:
                        server.sendall(data)
                        server.shutdown(socket.SHUT_WR)
                        answers.join()
                    break
                server.sendall(data)
        for end in (server, client):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        answers.join()
        server.close()
        client.close()

    def pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        self.ended.set()

    def close(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


@contextmanager
def through_proxy(settings: dict[str, Any], *, forwards_commit: bool = True) -> Iterator[Proxy]:
    host, port = settings["HOST"], settings["PORT"]
    proxy = Proxy(host, int(port), forwards_commit=forwards_commit)
    settings.update(HOST="127.0.0.1", PORT=str(proxy.port))
    settings["OPTIONS"]["sslmode"] = "disable"
    try:
        yield proxy
    finally:
        settings.update(HOST=host, PORT=port)
        proxy.close()


@pytest.mark.parametrize("forwards_commit", [True, False])
def test_lost_during_the_commit(run: Any, pg: dict[str, Any], forwards_commit: bool) -> None:
    async def writing() -> None:
        async with transaction.atomic(using="pg"):
            await Things.acreate(name="unsure")
            await in_greenlet(lambda: transaction.on_commit(lambda: called.append(1), using="pg"))

    async def main() -> None:
        with (
            through_proxy(pg, forwards_commit=forwards_commit),
            pytest.raises(CommitOutcomeUnknownError),
        ):
            await asyncio.create_task(writing())
        # Either is what may have happened; it is never done again.
        assert await in_greenlet(names) == ({"unsure"} if forwards_commit else set())
        assert called == []

    called: list[int] = []
    run(main())


# --- cancellation ---------------------------------------------------------------------------------


def test_cancelling_a_task_cancels_its_statement(run: Any, pg_database: Admin) -> None:
    async def main() -> None:
        pids = []

        def sleeping() -> None:
            pids.append(backend_pid())
            sql("SELECT pg_sleep(600)")

        task = asyncio.create_task(in_greenlet(sleeping))
        await until(lambda: pids)
        await until_running(pg_database, pids[0])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # It was put in order and is used again.
        await asyncio.sleep(0)
        assert await asyncio.create_task(in_greenlet(backend_pid)) == pids[0]

    run(main())


def test_cancelled_inside_a_transaction_it_is_rolled_back(run: Any, pg_database: Admin) -> None:
    async def main() -> None:
        pids = []

        def writing() -> None:
            with transaction.atomic(using="pg"):
                Things.create(name="lost")
                pids.append(backend_pid())
                sql("SELECT pg_sleep(20)")

        task = asyncio.create_task(in_greenlet(writing))
        await until(lambda: pids)
        await until_running(pg_database, pids[0])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await in_greenlet(names) == set()

    run(main())


def test_a_commit_is_not_cancelled_half_way(run: Any, beside: Admin) -> None:
    """The transaction takes place, its on_commit functions run, and then the task is cancelled."""

    async def main() -> None:
        await in_greenlet(
            sql,
            "CREATE OR REPLACE FUNCTION held_back() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END'; "
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON thing "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION held_back()",
        )
        beside.execute("SELECT pg_advisory_lock(1)")
        task = asyncio.create_task(writing())
        await until_locks_are_waited_for(beside, 1)
        assert called == []
        task.cancel()
        await asyncio.sleep(0)
        beside.execute("SELECT pg_advisory_unlock(1)")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert called == [1]
        assert await in_greenlet(names) == {"kept"}

    def write() -> None:
        Things.create(name="kept")
        transaction.on_commit(lambda: called.append(1), using="pg")

    async def writing() -> None:
        async with transaction.atomic(using="pg"):
            await in_greenlet(write)
        await asyncio.sleep(0)

    called: list[int] = []
    run(main())


def test_a_shared_transaction_whose_child_is_cancelled_can_not_commit(
    run: Any, pg_database: Admin
) -> None:
    """Its statement failed at the server, and with it the whole transaction."""

    async def main() -> None:
        with pytest.raises(DatabaseError):
            await asyncio.create_task(parent())
        assert await in_greenlet(names) == set()

    async def parent() -> None:
        async with transaction.atomic(using="pg"):
            await Things.acreate(name="lost")
            pid = await in_greenlet(backend_pid)
            child = asyncio.create_task(in_greenlet(sql, "SELECT pg_sleep(20)"))
            await until_running(pg_database, pid)
            child.cancel()
            await asyncio.gather(child, return_exceptions=True)
            await Things.acreate(name="lost, too")

    run(main())


def test_timeouts_of_asyncio_work(run: Any) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await in_greenlet(sql, "SELECT pg_sleep(20)")
        assert await in_greenlet(sql, "SELECT 1") == [(1,)]

    run(main())


def test_a_cursor_kept_after_its_task_reaches_nobodys_connection(run: Any) -> None:
    async def main() -> None:
        def leaking() -> Any:
            cursor = connections["pg"].cursor()
            cursor.execute("SELECT 1")
            return cursor

        cursor = await asyncio.create_task(in_greenlet(leaking))
        await asyncio.sleep(0)
        with pytest.raises(OperationalError, match="returned to the pool"):
            await in_greenlet(cursor.execute, "SELECT 2")

    run(main())


def test_many_at_once_with_errors_cancellations_and_killed_back_ends(
    run: Any, pg_database: Admin, pg: dict[str, Any]
) -> None:
    """Nobody sees another one's data, no committed row is missing, no connection stays out."""
    pg["OPTIONS"]["loop_pool"]["size"] = 8
    kept: set[str] = set()

    def work(i: int) -> None:
        outcome = i % 5
        with transaction.atomic(using="pg"):
            sql(f"SET LOCAL quintette.mine = '{i}'")
            Things.create(name=f"outer {i}")
            with suppress(ZeroDivisionError), transaction.atomic(using="pg"):
                Things.create(name=f"inner {i}")
                wait_for(asyncio.sleep(0))
                if outcome == 1:
                    raise ZeroDivisionError
            assert sql("SELECT current_setting('quintette.mine')") == [(str(i),)]
            if outcome == 2:
                raise ZeroDivisionError
            if outcome == 3:
                sql("SELECT pg_sleep(20)")
            if outcome == 4 and i % 3 == 0:
                killed.append(backend_pid())
                sql("SELECT pg_terminate_backend(pg_backend_pid())")
        kept.add(f"outer {i}")
        if outcome != 1:
            kept.add(f"inner {i}")

    async def one(i: int) -> None:
        if i % 5 == 3:
            async with asyncio.timeout(0.05):
                await in_greenlet(work, i)
        else:
            await in_greenlet(work, i)

    async def main() -> None:
        outcomes = await asyncio.gather(*[one(i) for i in range(300)], return_exceptions=True)
        unexpected = [
            error
            for error in outcomes
            if error and not isinstance(error, ZeroDivisionError | TimeoutError | OperationalError)
        ]
        assert unexpected == []
        assert await in_greenlet(names) == kept
        assert len(kept) > 200
        assert killed

    killed: list[int] = []
    run(main())
