"""Which connection `django.db.connections[alias]` means: the thread's, or on an event loop the
task's.

On a loop each task has its own `DatabaseWrapper`, its *scope*'s, which ends with the task. A task
that was started inside a transaction of another one takes part in it: it gets that one's wrapper
(`quintette.db.atomic` keeps their statements and savepoints in order). Engines opt in by
`per_scope = True` on their wrapper class and two methods:

* `leave_scope()`: give back what is held. Must not wait, since a task may end where nothing can.
* `shared_in_transaction()`: another task is about to use this wrapper inside its open transaction.

Everything else, threads and other engines, stays where Django had it.
"""

from __future__ import annotations

import _thread
import asyncio
import logging
import sys
import threading
from asyncio import _get_running_loop
from contextvars import ContextVar
from typing import Any, Protocol

from django.db import connections

from quintette.concurrency import patches
from quintette.db import shortcuts
from quintette.db.spares import Spares

logger = logging.getLogger("quintette.db")
spares = Spares()


class ScopedWrapper(Protocol):
    """What a scope asks of an engine's DatabaseWrapper."""

    alias: str
    per_scope: bool
    is_shared: bool  # since shared_in_transaction()
    _thread_ident: int

    def leave_scope(self) -> None: ...
    def shared_in_transaction(self) -> None: ...


class Block:
    """An open atomic block. The tasks started inside it have it in their context (`blocks`)."""

    __slots__ = ("open", "outer", "wrapper")

    def __init__(self, wrapper: ScopedWrapper, outer: Block | None) -> None:
        self.wrapper = wrapper
        self.outer = outer
        self.open = True


class Scope:
    """The wrappers of one task, or of one request that is answered without a task."""

    __slots__ = ("__weakref__", "closed", "task", "thread", "wrappers")

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        self.task = task
        self.thread = _thread.get_ident()
        self.wrappers: dict[str, Any] = {}
        self.closed = False

    def close(self, _task: object = None) -> None:
        """Gives back what its wrappers hold; never waits."""
        self.closed = True
        self.task = None
        while self.wrappers:
            only = [self.wrappers.popitem()[1]]
            try:
                only[0].leave_scope()
                spares.keep(only)
            except Exception:
                logger.exception("A connection to %r could not be given back", only[0].alias)

    def __del__(self) -> None:
        if self.wrappers:
            self.close()


_scope: ContextVar[Scope | None] = ContextVar("quintette.db.scope", default=None)
# Outermost first; those of the tasks that this one descends from, and its own.
blocks: ContextVar[tuple[Block, ...]] = ContextVar("quintette.db.blocks", default=())


def current() -> Scope | None:
    """The running task's scope, if it has one already."""
    scope = _scope.get()
    if scope is None or scope.closed or scope.thread != _thread.get_ident():
        return None
    return scope if scope.task is asyncio.current_task() else None


def begin(task: asyncio.Task[Any] | None = None) -> Scope:
    """A scope for the current context. Who calls this closes it; one of a task ends with the task,
    too."""
    scope = Scope(task)
    _scope.set(scope)
    if task is not None:
        # The engine's own tasks do it at once.
        getattr(task, "call_at_end", task.add_done_callback)(scope.close)
    return scope


def end() -> None:
    """Ends the running task's scope: the next query begins another one."""
    scope = current()
    if scope is not None:
        scope.close()


class Storage:
    """In the place of `connections._connections`. The names of its own attributes are no aliases:
    they begin with "_"."""

    def __init__(self, others: Any) -> None:
        self._others = others
        self._thread = threading.local()
        # Aliases of engines that opted in.
        self._scoped: set[str] = set()

    def __getattr__(self, alias: str) -> Any:
        if alias not in self._scoped:
            return getattr(self._others, alias)
        loop = _get_running_loop()
        if loop is None:
            return getattr(self._thread, alias)
        scope = _scope.get()
        if (
            scope is not None
            and scope.task is asyncio.current_task(loop)
            and scope.thread == _thread.get_ident()
            and alias in scope.wrappers
        ):
            return scope.wrappers[alias]
        shared = shared_wrapper(alias)
        if shared is None:
            raise AttributeError(alias)
        return shared

    def here(self) -> dict[str, Any]:
        """The wrappers that have been made for where this is called, by alias."""
        found = {
            alias: getattr(self._others, alias)
            for alias in connections.settings
            if alias not in self._scoped and hasattr(self._others, alias)
        }
        if _get_running_loop() is None:
            return found | vars(self._thread)
        scope = current()
        if scope is not None:
            found |= scope.wrappers
        if in_block():
            shared = {alias: shared_wrapper(alias) for alias in self._scoped - found.keys()}
            found |= {alias: wrapper for alias, wrapper in shared.items() if wrapper is not None}
        return found

    def __setattr__(self, alias: str, wrapper: Any) -> None:
        if alias.startswith("_"):
            object.__setattr__(self, alias, wrapper)
        elif not getattr(wrapper, "per_scope", False):
            self._scoped.discard(alias)
            setattr(self._others, alias, wrapper)
        else:
            self._scoped.add(alias)
            if _get_running_loop() is None:
                setattr(self._thread, alias, wrapper)
            else:
                scope = current() or begin(asyncio.current_task())
                scope.wrappers[alias] = wrapper

    def __delattr__(self, alias: str) -> None:
        if alias not in self._scoped:
            delattr(self._others, alias)
        elif _get_running_loop() is None:
            delattr(self._thread, alias)
        else:
            scope = current()
            if scope is None or scope.wrappers.pop(alias, None) is None:
                raise AttributeError(alias)


def shared_wrapper(alias: str) -> Any:
    """The wrapper of the innermost open transaction on that database that this task was started
    in, or None."""
    for block in reversed(blocks.get()):
        wrapper = block.wrapper
        if block.open and wrapper.alias == alias and wrapper._thread_ident == _thread.get_ident():
            wrapper.shared_in_transaction()
            return wrapper
    return None


def in_block() -> bool:
    """Is a transaction of this thread open here? Its connection is of no use to another one."""
    return any(block.open for block in blocks.get())


def install() -> None:
    """Puts the storage in place, once; the thread's present connections stay."""
    handler: Any = connections
    others = handler._connections
    if not isinstance(others, Storage):
        handler._connections = Storage(others)
        handler.create_connection = spares.creator(handler)
        patches.install()
        patches.stay_when(in_block)
        shortcuts.install()
        server = sys.modules.get("quintette.server.parts")
        if server is not None:
            server.hand_over()
