"""Whose connection it is: tasks, children, transactions, threads."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.db import NotSupportedError, connections, transaction
from django.db.transaction import TransactionManagementError
from pg_things import Thing, Things, backend_pid, names, sql, until_locks_are_waited_for

from quintette.concurrency import in_thread, wait_for
from quintette.concurrency import run as in_greenlet
from quintette.db import pool

pytestmark = pytest.mark.postgresql


def test_one_task_keeps_its_connection(run: Any) -> None:
    async def main() -> None:
        first = await in_greenlet(backend_pid)
        assert await in_greenlet(backend_pid) == first
        assert pool.stats()["pg"].borrowed == 1

    run(main())


def test_tasks_have_connections_of_their_own(run: Any) -> None:
    async def main() -> None:
        both_hold = asyncio.Barrier(2)

        def pid() -> int:
            with transaction.atomic(using="pg"):
                mine = backend_pid()
                wait_for(both_hold.wait())
            return mine

        one, other = await asyncio.gather(in_greenlet(pid), in_greenlet(pid))
        assert one != other

    run(main())


def test_a_task_returns_its_connection_when_it_ends(run: Any) -> None:
    async def main() -> None:
        for _ in range(20):
            await asyncio.create_task(in_greenlet(backend_pid))
        await asyncio.sleep(0)
        stats = pool.stats()["pg"]
        assert (stats.in_use, stats.opened, stats.borrowed) == (0, 1, 20)

    run(main())


def test_a_cancelled_task_that_never_ran_leaves_nothing(run: Any) -> None:
    async def main() -> None:
        task = asyncio.create_task(in_greenlet(backend_pid))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.stats() == {}

    run(main())


def test_reads_gathered_outside_a_transaction_run_at_once(
    run: Any, beside: psycopg.Connection[Any]
) -> None:
    def held_back() -> int:
        return sql("SELECT pg_backend_pid() FROM pg_advisory_xact_lock_shared(1)")[0][0]

    async def main() -> None:
        beside.execute("SELECT pg_advisory_lock(1)")
        reads = asyncio.gather(*[in_greenlet(held_back) for _ in range(5)])
        await until_locks_are_waited_for(beside, 5)
        beside.execute("SELECT pg_advisory_unlock(1)")
        assert len(set(await reads)) == 5

    run(main())


def test_parents_that_hold_a_connection_do_not_starve_their_children(run: Any) -> None:
    """Five of five are held by tasks that wait for children, each of which needs one."""

    async def parent() -> list[int]:
        await in_greenlet(backend_pid)
        await barrier.wait()
        return list(await asyncio.gather(*[in_greenlet(backend_pid) for _ in range(3)]))

    async def main() -> None:
        await asyncio.gather(*[asyncio.create_task(parent()) for _ in range(5)])
        assert pool.stats()["pg"].reclaimed > 0

    barrier = asyncio.Barrier(5)
    run(main())


def test_tasks_started_inside_a_transaction_take_part_in_it(run: Any) -> None:
    async def main() -> None:
        async with transaction.atomic(using="pg"):
            await Things.acreate(name="mine")
            pid = await in_greenlet(backend_pid)
            seen = await asyncio.gather(*[in_greenlet(names) for _ in range(4)])
            pids = await asyncio.gather(*[in_greenlet(backend_pid) for _ in range(4)])
            assert seen == [{"mine"}] * 4
            assert set(pids) == {pid}
        assert await in_greenlet(names) == {"mine"}

    run(main())


def test_a_task_started_before_the_transaction_takes_no_part(run: Any) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def other() -> None:
            await begun.wait()
            await Things.acreate(name="other")

        task = asyncio.create_task(other())
        with suppress(ZeroDivisionError):
            async with transaction.atomic(using="pg"):
                await Things.acreate(name="mine")
                begun.set()
                await task
                raise ZeroDivisionError
        assert await in_greenlet(names) == {"other"}

    run(main())


def test_atomic_blocks_of_children_nest_one_after_the_other(run: Any) -> None:
    """Those that fail roll back their own rows, whatever their neighbours do meanwhile."""

    def child(i: int) -> None:
        with transaction.atomic(using="pg"):
            Things.create(name=f"a{i}")
            wait_for(asyncio.sleep(0.001 * (i % 3)))
            Things.create(name=f"b{i}")
            if i % 2:
                raise ZeroDivisionError

    async def main() -> None:
        async with transaction.atomic(using="pg"):
            await asyncio.gather(
                *[in_greenlet(child, i) for i in range(10)], return_exceptions=True
            )
        expected = {f"{letter}{i}" for letter in "ab" for i in range(0, 10, 2)}
        assert await in_greenlet(names) == expected

    run(main())


def test_a_statement_waits_for_a_siblings_atomic_block(run: Any) -> None:
    """It would be rolled back with the sibling's savepoint otherwise."""

    async def main() -> None:
        inside = asyncio.Event()

        def failing() -> None:
            with transaction.atomic(using="pg"):
                inside.set()
                wait_for(asyncio.sleep(0.02))
                raise ZeroDivisionError

        async def writing() -> None:
            await inside.wait()
            await Things.acreate(name="kept")

        async with transaction.atomic(using="pg"):
            failed, _ = await asyncio.gather(
                in_greenlet(failing), writing(), return_exceptions=True
            )
            assert isinstance(failed, ZeroDivisionError)
        assert await in_greenlet(names) == {"kept"}

    run(main())


def test_grandchildren_work_inside_their_parents_block(run: Any) -> None:
    async def child() -> None:
        async with transaction.atomic(using="pg"):
            await asyncio.gather(*[Things.acreate(name=f"g{i}") for i in range(3)])

    async def main() -> None:
        async with transaction.atomic(using="pg"):
            await asyncio.gather(child())
        assert await in_greenlet(names) == {"g0", "g1", "g2"}

    run(main())


def test_a_child_that_outlives_the_transaction_is_told(run: Any) -> None:
    async def main() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        def late() -> None:
            with connections["pg"].cursor() as cursor:
                cursor.execute("SELECT 1")
                begun.set()
                wait_for(ended.wait())
                cursor.execute("INSERT INTO thing (name) VALUES ('late')")

        async with transaction.atomic(using="pg"):
            task = asyncio.create_task(in_greenlet(late))
            await begun.wait()
        ended.set()
        with pytest.raises(TransactionManagementError, match="has ended"):
            await task
        assert await in_greenlet(names) == set()

    run(main())


def test_the_owner_leaving_with_an_error_ends_its_childrens_blocks(run: Any) -> None:
    async def main() -> None:
        inside = asyncio.Event()

        async def child() -> None:
            async with transaction.atomic(using="pg"):
                await Things.acreate(name="child")
                inside.set()
                await asyncio.sleep(0.2)

        async def owner() -> None:
            async with transaction.atomic(using="pg"):
                task = asyncio.create_task(child())
                tasks.append(task)
                await inside.wait()
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                await asyncio.sleep(0)

        tasks: list[asyncio.Task[None]] = []
        outcome = await asyncio.gather(asyncio.create_task(owner()), return_exceptions=True)
        assert isinstance(outcome[0], asyncio.CancelledError)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await in_greenlet(names) == set()

    run(main())


def test_threads_have_threads_connections(run: Any) -> None:
    def both() -> tuple[int, int]:
        def in_a_thread() -> int:
            try:
                return backend_pid()
            finally:
                connections["pg"].close()

        return backend_pid(), in_thread(in_a_thread)

    async def main() -> None:
        mine, threads = await in_greenlet(both)
        assert mine != threads

    run(main())


def test_async_with_atomic_needs_an_engine_that_can(run: Any) -> None:
    async def main() -> None:
        with pytest.raises(NotSupportedError, match="needs an engine"):
            async with transaction.atomic(using="default"):
                pass

    run(main())


def test_a_transaction_of_the_thread_is_shared_by_its_loop(run: Any) -> None:
    """As in a TestCase: its transaction was begun before there was a loop."""
    with suppress(ZeroDivisionError), transaction.atomic(using="pg"):
        Thing(name="outer").save(using="pg")

        async def main() -> set[str]:
            await Things.acreate(name="inner")
            return (await asyncio.gather(in_greenlet(names)))[0]

        assert run(main()) == {"outer", "inner"}
        raise ZeroDivisionError
    assert names() == set()


@pytest.mark.usefixtures("pg")
def test_an_atomic_block_on_a_loop_of_async_to_sync_holds_its_queries() -> None:
    """As an asynchronous view has it under a WSGI server, or a test's client."""

    async def fails() -> None:
        async with transaction.atomic(using="pg"):
            assert await Things.select_for_update().acount() == 0
            await Things.acreate(name="undone")
            raise ValueError("undo")

    async def succeeds() -> None:
        async with transaction.atomic(using="pg"):
            await Things.acreate(name="outer")
            with suppress(ValueError):
                async with transaction.atomic(using="pg"):
                    await Things.acreate(name="inner")
                    raise ValueError

    with pytest.raises(ValueError, match="undo"):
        async_to_sync(fails)()
    async_to_sync(succeeds)()
    assert names() == {"outer"}
    assert connections["pg"].get_autocommit()
