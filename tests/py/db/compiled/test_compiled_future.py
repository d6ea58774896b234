"""A call of a compiled query as a future: what asyncio does with it needs no task."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import test_compiled_queries as queries
from asgiref.sync import async_to_sync
from django.db import DatabaseError, transaction
from test_compiled_loop import divided
from test_compiled_queries import related

from quintette import _quintette
from quintette.db.compiled import compiled


@pytest.fixture(params=["poller", "asyncio"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    ours = request.param == "poller"
    loop = asyncio.SelectorEventLoop(_quintette.Poller() if ours else None)
    yield loop
    loop.close()


@pytest.fixture
def query(alias: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(queries, "USING", alias)
    return compiled(related)


def expected(code: str, n: int) -> list[Any]:
    return list(related(code, n))


def test_gather_makes_no_tasks(loop: Any, alias: str, query: Any) -> None:
    async def main() -> list[Any]:
        before = asyncio.all_tasks()
        together = asyncio.gather(*(query("PK", n) for n in range(1, 5)))
        # On asyncio's own loop they run on Django's connection, in tasks.
        if isinstance(loop._selector, _quintette.Poller):
            assert asyncio.all_tasks() == before
        return await together

    assert loop.run_until_complete(main()) == [expected("PK", n) for n in range(1, 5)]


def test_it_begins_when_somebody_asks(loop: Any, query: Any) -> None:
    rows = expected("PK", 3)

    async def main() -> None:
        call = query("PK", 3)
        assert asyncio.isfuture(call)
        assert call.get_loop() is loop
        assert not call.done()
        assert not call.cancelled()
        with pytest.raises(asyncio.InvalidStateError, match="has not begun"):
            call.result()
        with pytest.raises(asyncio.InvalidStateError, match="has not begun"):
            call.exception()
        assert call.remove_done_callback(print) == 0
        done, waiting = await asyncio.wait({call})
        assert (done, waiting) == ({call}, set())
        assert call.done()
        assert call.exception() is None
        assert call.result() == await call == rows

    loop.run_until_complete(main())


def test_without_a_loop(query: Any) -> None:
    call = query("PK", 3)
    for ask in (call.get_loop, lambda: call.add_done_callback(print)):
        with pytest.raises(RuntimeError, match="no running event loop"):
            ask()


def test_each_await_of_a_call_runs_it(loop: Any, query: Any) -> None:
    async def main() -> None:
        call = query("PK", 3)
        first = await call
        again = await call
        assert first == again
        assert first is not again

    loop.run_until_complete(main())


def test_shield_and_wait_for(loop: Any, query: Any) -> None:
    rows = expected("DE", 2)

    async def main() -> None:
        assert await asyncio.shield(query("DE", 2)) == rows
        assert await asyncio.wait_for(query("DE", 2), 60) == rows

    loop.run_until_complete(main())


def test_as_completed(loop: Any, query: Any) -> None:
    async def main() -> list[Any]:
        return [await call for call in asyncio.as_completed([query("DE", 1), query("PK", 1)])]

    rows = loop.run_until_complete(main())
    assert sorted(map(len, rows)) == sorted(len(expected(code, 1)) for code in ("DE", "PK"))


@pytest.mark.postgresql
def test_callbacks_are_given_the_call(
    loop: Any, postgresql_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "USING", postgresql_alias)
    query = compiled(related)

    async def main() -> None:
        given: list[Any] = []
        context = contextvars.copy_context()
        marked.set("outside")
        context.run(marked.set, "inside")

        def note(call: Any) -> None:
            given.append((call, marked.get()))

        call = query("PK", 3)
        call.add_done_callback(note)
        call.add_done_callback(note, context=context)
        call.add_done_callback(given.append)
        assert call.remove_done_callback(given.append) == 1
        assert call.remove_done_callback(given.append) == 0
        await call
        await asyncio.sleep(0)
        assert given == [(call, "outside"), (call, "inside")]
        call.add_done_callback(note)
        await asyncio.sleep(0)
        assert len(given) == 3

    marked: contextvars.ContextVar[str] = contextvars.ContextVar("marked")
    loop.run_until_complete(main())


def test_nothing_stays_behind(loop: Any, query: Any) -> None:
    async def main() -> Any:
        call = query("PK", 3)

        def callback(_: Any) -> None:
            assert call.done()

        call.add_done_callback(callback)
        await call
        await asyncio.sleep(0)
        return weakref.ref(callback)

    gone = loop.run_until_complete(main())
    gc.collect()
    assert gone() is None


def test_cancelled_before_it_began(loop: Any, query: Any) -> None:
    async def main() -> None:
        call = query("PK", 3)
        assert call.cancel()
        assert call.cancelled()
        assert not call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    loop.run_until_complete(main())


@pytest.mark.postgresql
def test_cancelled_while_it_runs(
    loop: Any, postgresql_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "USING", postgresql_alias)
    query = compiled(related)
    rows = expected("PK", 3)

    async def main() -> None:
        together = asyncio.gather(*(query("PK", n) for n in range(1, 5)))
        together.cancel()
        with pytest.raises(asyncio.CancelledError):
            await together
        # The connections are as good as before.
        assert await query("PK", 3) == rows

    loop.run_until_complete(main())


@pytest.mark.postgresql
def test_an_error_is_the_calls_own(
    loop: Any, postgresql_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "USING", postgresql_alias)

    async def main() -> None:
        wrong = compiled(divided)(0)
        await asyncio.wait({wrong})
        assert isinstance(wrong.exception(), DatabaseError)
        with pytest.raises(DatabaseError):
            wrong.result()
        with pytest.raises(DatabaseError):
            await wrong

    loop.run_until_complete(main())


def test_in_a_transaction(alias: str, query: Any) -> None:
    """It sees what the transaction has changed."""

    async def main() -> Any:
        return await asyncio.gather(query("PK", 2), query("DE", 2))

    with transaction.atomic(using=alias):
        queries.cities().update(name="renamed")
        found = async_to_sync(main)()
        transaction.set_rollback(True, using=alias)
    assert {city.name for cities in found for city in cities} == {"renamed"}
