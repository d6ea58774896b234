"""`transaction.atomic()` for tasks: ``async with``, and blocks of tasks that share a transaction
in turn."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from asgiref.sync import sync_to_async
from django.db import NotSupportedError
from django.db.transaction import Atomic, get_connection

from quintette.concurrency import patches, run
from quintette.db.turns import Turns, ended

_django_enter = Atomic.__enter__
_django_exit = Atomic.__exit__


def _turns(atomic: Any) -> Turns | None:
    return getattr(get_connection(atomic.using), "turns", None)


def _enter(self: Any) -> None:
    turns = _turns(self)
    if turns is None:
        _django_enter(self)
        return
    block = turns.enter()
    try:
        _django_enter(self)
    except BaseException:
        turns.leave(block)
        raise


def _exit(
    self: Any,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    turns = _turns(self)
    if turns is None:
        _django_exit(self, kind, error, traceback)
        return
    block = turns.entered()
    if block is None:
        _django_exit(self, kind, error, traceback)
        return
    if not block.open:
        # The task that had begun the transaction left before this one, with an error.
        turns.leave(block)
        if error is None:
            raise ended()
        return
    try:
        turns.pass_through()
    except BaseException as interruption:
        try:
            _django_exit(self, type(interruption), interruption, interruption.__traceback__)
        finally:
            turns.leave(block)
        raise
    try:
        _django_exit(self, kind, error, traceback)
    finally:
        turns.leave(block)


async def _where_queries_run(func: Callable[..., None], *args: Any) -> None:
    """On a loop of `async_to_sync` those of the block are made in its caller's thread, and on that
    thread's connection."""
    if patches.is_called_from_sync():
        await sync_to_async(func)(*args)
    else:
        await run(func, *args)


async def _aenter(self: Any) -> None:
    if _turns(self) is None:
        engine = get_connection(self.using).settings_dict["ENGINE"]
        raise NotSupportedError(
            f"'async with atomic()' needs an engine of Quintette's; "
            f"database {self.using or 'default'!r} has {engine!r}."
        )
    await _where_queries_run(self.__enter__)


async def _aexit(
    self: Any,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    await _where_queries_run(self.__exit__, kind, error, traceback)


def install() -> None:
    """Extends Django's Atomic, once. Other engines' blocks stay as they are."""
    atomic: Any = Atomic
    atomic.__enter__ = _enter
    atomic.__exit__ = _exit
    atomic.__aenter__ = _aenter
    atomic.__aexit__ = _aexit
