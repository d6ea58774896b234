"""The wrapper of a task that has ended serves the next one, as new, if nobody refers to it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections, transaction

from quintette.concurrency import run as in_greenlet
from quintette.concurrency import wait_for
from quintette.db import scope, spares


@pytest.fixture(autouse=True)
def none_yet() -> Iterator[None]:
    scope.spares._spares.clear()
    yield
    scope.spares._spares.clear()


async def in_a_task(use: Callable[[Any], Any] = lambda wrapper: None) -> Any:
    """What the task's wrapper is known by later."""

    def used() -> Any:
        use(connections["sq"])
        return mark(connections["sq"])

    found = await asyncio.create_task(in_greenlet(used))
    await asyncio.sleep(0)
    return found


def mark(wrapper: Any) -> Any:
    """Of each wrapper another, which does not lead to it."""
    return wrapper._thread_sharing_lock


def simple(wrapper: Any) -> dict[str, Any]:
    """What can be compared of its state."""
    kinds = type(None), bool, int, str, list, dict, set
    return {name: value for name, value in vars(wrapper).items() if isinstance(value, kinds)} | {
        "queries_log": list(wrapper.queries_log),
        "maxlen": wrapper.queries_log.maxlen,
        "features": sorted(vars(wrapper.features)),
        "left behind": getattr(wrapper.ops, "left_behind", None),
    }


def ask(wrapper: Any) -> None:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM thing")


def count_and_log(wrapper: Any) -> None:
    wrapper.force_debug_cursor = True
    ask(wrapper)
    assert wrapper.queries


def spoil(wrapper: Any) -> None:
    wrapper.execute_wrappers.append(lambda *args: None)
    wrapper.left_behind = "something"
    wrapper.settings_dict = {}
    wrapper.savepoint_state = 7
    wrapper.features.supports_over_clause = "perhaps"
    wrapper.ops.left_behind = "something"


def fail_to_commit(wrapper: Any) -> None:
    with transaction.atomic(using="sq"):
        wrapper.on_commit(lambda: None)
        ask(wrapper)
        transaction.set_rollback(True, using="sq")


@pytest.mark.parametrize(
    "use",
    [lambda wrapper: None, ask, count_and_log, fail_to_commit, spoil],
    ids=lambda f: f.__name__,
)
def test_the_next_task_gets_it_as_new(sq: Any, run: Any, use: Callable[[Any], Any]) -> None:
    async def main() -> None:
        new: list[dict[str, Any]] = []
        first = await in_a_task(lambda wrapper: new.append(simple(wrapper)))
        assert await in_a_task(use) is first
        assert await in_a_task(lambda wrapper: new.append(simple(wrapper))) is first
        assert new[0] == new[1]

    run(main())


def test_not_while_somebody_has_it(sq: Any, run: Any) -> None:
    async def main() -> None:
        held: list[Any] = []
        first = await in_a_task(lambda wrapper: (count_and_log(wrapper), held.append(wrapper)))
        assert await in_a_task() is not first
        assert held[0].queries

    run(main())


@pytest.mark.parametrize(
    "hold",
    [
        lambda wrapper: weakref.ref(wrapper, print),
        weakref.ref,
        weakref.proxy,
        lambda wrapper: wrapper.ops,
        lambda wrapper: wrapper.features,
        lambda wrapper: wrapper.cursor,
    ],
    ids=["called back", "weak", "proxy", "ops", "features", "a method"],
)
def test_not_while_something_leads_to_it(sq: Any, run: Any, hold: Callable[[Any], Any]) -> None:
    async def main() -> None:
        held: list[Any] = []
        first = await in_a_task(lambda wrapper: held.append(hold(wrapper)))
        assert await in_a_task() is not first

    run(main())


def test_not_one_that_has_more(sq: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a subclass keeps in its wrappers may have been changed within."""

    def init(self: Any, *args: Any) -> None:
        djangos(self, *args)
        self.search_path = ["public"]

    wrapper_class = type(connections["sq"])
    djangos = wrapper_class.__init__
    monkeypatch.setattr(wrapper_class, "__init__", init)
    seen: list[Any] = []

    def use(wrapper: Any) -> None:
        seen.append(wrapper.search_path.copy())
        wrapper.search_path.append("private")

    async def main() -> None:
        await in_a_task(use)
        await in_a_task(use)
        assert seen == [["public"], ["public"]]

    run(main())


def test_not_one_that_was_put_in_its_place(sq: Any, run: Any) -> None:
    """Nobody knows what it was when it was new."""

    def put_another(wrapper: Any) -> None:
        another = type(wrapper)(wrapper.settings_dict, "sq")
        spoil(another)
        another.settings_dict = wrapper.settings_dict
        connections["sq"] = another

    async def main() -> None:
        first = await in_a_task(put_another)
        assert await in_a_task() is not first

    run(main())


def test_not_from_a_scope_that_another_thread_closes(sq: Any, run: Any) -> None:
    async def main() -> None:
        await in_a_task()
        spares = scope.spares.of(asyncio.get_running_loop())["sq"]
        other = scope.Scope(None)
        other.wrappers["sq"] = spares.pop()

        async def close() -> None:
            other.close()
            assert not scope.spares.of(asyncio.get_running_loop())

        thread = threading.Thread(target=lambda: asyncio.run(close()))
        thread.start()
        thread.join()
        assert other.closed
        assert not spares

    run(main())


def test_each_thread_has_its_own(sq: Any, run: Any) -> None:
    """One that looks for a spare leaves those of the others where they are."""

    async def main() -> None:
        first = await in_a_task()
        thread = threading.Thread(target=lambda: asyncio.run(in_a_task()))
        thread.start()
        thread.join()
        assert await in_a_task() is first

    run(main())


def test_not_with_other_settings(configure: Any, sq: Any, run: Any) -> None:
    async def main() -> None:
        first = await in_a_task()
        connections.settings["sq"] = dict(connections.settings["sq"])
        assert await in_a_task() is not first

    run(main())


def test_not_while_a_task_of_its_transaction_lives(sq: Any, run: Any) -> None:
    children = []

    def with_child(wrapper: Any) -> None:
        async def child() -> None:
            await in_greenlet(lambda: ask(connections["sq"]))
            asked.set()
            await done.wait()

        asked = asyncio.Event()
        with transaction.atomic(using="sq"):
            children.append(asyncio.get_running_loop().create_task(child()))
            wait_for(asked.wait())

    async def main() -> None:
        nonlocal done
        done = asyncio.Event()
        first = await in_a_task(with_child)
        second = await in_a_task()
        assert second is not first
        done.set()
        await children[0]

    done: Any = None
    run(main())


def test_not_in_another_thread(sq: Any, run: Any) -> None:
    async def main() -> None:
        first = await in_a_task()
        found = []
        thread = threading.Thread(target=lambda: found.append(asyncio.run(in_a_task())))
        thread.start()
        thread.join()
        assert found[0] is not first

    run(main())


def test_tasks_at_the_same_time_have_their_own(sq: Any, run: Any) -> None:
    async def main() -> None:
        await in_a_task()
        both = asyncio.Barrier(2)

        async def one() -> Any:
            found = mark(connections["sq"])
            await both.wait()
            return found

        first, second = await asyncio.gather(one(), one())
        assert first is not second

    run(main())


def test_their_number_is_bounded(sq: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "SPARES_MAX", 3)

    async def main() -> None:
        all_of_them = asyncio.Barrier(10)

        async def one() -> None:
            connections["sq"].ops  # noqa: B018
            await all_of_them.wait()

        await asyncio.gather(*(one() for _ in range(10)))
        await asyncio.sleep(0)
        assert len(scope.spares.of(asyncio.get_running_loop())["sq"]) == 3

    run(main())
