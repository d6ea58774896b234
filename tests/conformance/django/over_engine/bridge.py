"""Each test, and each fixture of a class or module, in a greenlet on a running event loop.

All run in one task, one after the other, so that a class's transaction is its tests' too: a
connection belongs to a task. The loop stands still between them, as in a test runner it must.
"""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from django.db import connections
from django.test import SimpleTestCase, testcases
from django.test.runner import DiscoverRunner

from quintette import _quintette, concurrency

# unittest's steps around a class and a module.
_FIXTURES = (
    "_handleClassSetUp",
    "_tearDownPreviousClass",
    "_handleModuleFixture",
    "_handleModuleTearDown",
)


class Bridge:
    def __init__(self) -> None:
        poller = _quintette.Poller()
        self._loop = asyncio.SelectorEventLoop(poller)
        poller.bind_loop(self._loop)
        self._jobs: asyncio.Queue[tuple[Callable[[], Any], asyncio.Future[Any]]] = asyncio.Queue()
        self._task = self._loop.create_task(self._work())

    async def _work(self) -> None:
        while True:
            func, done = await self._jobs.get()
            try:
                done.set_result(await concurrency.run(func))
            except BaseException as error:
                done.set_exception(error)

    def call(self, func: Callable[[], Any]) -> Any:
        done: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put_nowait((func, done))
        return self._loop.run_until_complete(done)


def install() -> None:
    """Before Django's tests are imported."""
    bridge = Bridge()

    def bridged(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: Any, *args: Any, **options: Any) -> Any:
            # A loop of its own cannot be run on one that runs.
            has_loop = args and isinstance(self, unittest.IsolatedAsyncioTestCase)
            if has_loop or concurrency.can_wait():
                return method(self, *args, **options)
            return bridge.call(lambda: method(self, *args, **options))

        return call

    for case in (unittest.TestCase, SimpleTestCase):
        case.__call__ = bridged(case.__call__)  # type: ignore[method-assign]
    for name in _FIXTURES:
        setattr(unittest.TestSuite, name, bridged(getattr(unittest.TestSuite, name)))
    DiscoverRunner.setup_databases = _telling(  # type: ignore[method-assign]
        bridge, DiscoverRunner.setup_databases
    )
    testcases.async_to_sync = _as_task


def _telling(bridge: Bridge, set_up: Callable[..., Any]) -> Callable[..., Any]:
    """The databases are made outside of the loop, as by any runner. What they hold from the outset,
    for serialized_rollback, the task's connections are told."""

    @wraps(set_up)
    def setup_databases(self: Any, **options: Any) -> Any:
        old = set_up(self, **options)
        contents = {
            connection.alias: vars(connection)["_test_serialized_contents"]
            for connection in connections.all()
            if "_test_serialized_contents" in vars(connection)
        }

        def tell() -> None:
            for alias, content in contents.items():
                connections[alias]._test_serialized_contents = content  # type: ignore[attr-defined]

        bridge.call(tell)
        return old

    return setup_databases


def _as_task(method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """An asynchronous test is a task of its own, in the place of a loop of its own: a task that was
    started inside the transaction of the test's class, and so takes part in it."""

    @wraps(method)
    def call(*args: Any) -> Any:
        return concurrency.wait_for(asyncio.ensure_future(method(*args)))

    return call
