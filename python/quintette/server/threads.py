"""Threads for the synchronous code of asynchronous requests.

asgiref wants all ``sync_to_async`` calls of one request in one thread, and starts a thread per
request for it. Here an idle thread is taken, on the first such call, and handed on afterwards, so
that a request without synchronous code costs no thread, and database connections persist.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import close_old_connections, reset_queries
from django.db.backends.signals import connection_created

T = TypeVar("T")


_thread = threading.local()


def _remember(**kwargs: Any) -> None:
    _thread.has_connected = True


connection_created.connect(_remember)


def tidy() -> None:
    """Closes this thread's database connections that are broken or old enough. Django does so when
    requests start and finish, by signals that typed routes do not send."""
    if getattr(_thread, "has_connected", False):
        reset_queries()
        close_old_connections()


class RequestThread(Executor):
    """The executor of one request; asgiref calls ``submit``. Used on the loop's thread alone."""

    def __init__(self, pool: RequestThreads) -> None:
        self._pool = pool
        self._worker: ThreadPoolExecutor | None = None
        self._key: ThreadSensitiveContext | None = None

    @property
    def used(self) -> bool:
        return self._worker is not None

    def enter(self) -> None:
        """From here on, ``sync_to_async`` in the current context leads to this thread."""
        self._key = ThreadSensitiveContext()
        SyncToAsync.thread_sensitive_context.set(self._key)
        SyncToAsync.context_to_thread_executor[self._key] = self
        self.context = contextvars.copy_context()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        if self._worker is None:
            self._worker = self._pool.take()
            self._worker.submit(self._pool.on_first_use)
        return self._worker.submit(fn, *args, **kwargs)

    def release(self) -> None:
        """Ends the request. What is submitted later gets a thread from asgiref."""
        if self._key is not None:
            SyncToAsync.context_to_thread_executor.pop(self._key, None)
            self._key = None
        if self._worker is not None:
            self._pool.give_back(self._worker)
            self._worker = None


class RequestThreads:
    def __init__(self, idle_max: int, on_first_use: Callable[[], None]) -> None:
        self.on_first_use = on_first_use
        self._idle_max = idle_max
        self._idle: list[ThreadPoolExecutor] = []
        # Held here too: one that is found in a cycle together with its lease would have lost its
        # thread before the lease gives it back, since weak references are cleared first.
        self._taken: set[ThreadPoolExecutor] = set()

    def enter(self) -> RequestThread:
        thread = RequestThread(self)
        thread.enter()
        return thread

    def take(self) -> ThreadPoolExecutor:
        if self._idle:
            worker = self._idle.pop()
        else:
            worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="quintette-async")
        self._taken.add(worker)
        return worker

    def give_back(self, worker: ThreadPoolExecutor) -> None:
        self._taken.discard(worker)
        if len(self._idle) < self._idle_max:
            self._idle.append(worker)
        else:
            worker.shutdown(wait=False)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().shutdown(wait=False)


class _Lease:
    """A thread for as long as something of the request's context lives."""

    def __init__(self, pool: RequestThreads) -> None:
        self._pool = pool
        self.worker = pool.take()
        self.worker.submit(pool.on_first_use)

    def __del__(self) -> None:
        with suppress(RuntimeError):  # the process ends
            self.worker.submit(tidy)
            self._pool.give_back(self.worker)


_lease: contextvars.ContextVar[_Lease] = contextvars.ContextVar("quintette_lease")


class LeasedThreads(Executor):
    """The same for typed routes, at no cost for a request that does not ask: its context, which is
    a copy of the server's, holds the thread once it has one."""

    def __init__(self, pool: RequestThreads) -> None:
        self._pool = pool
        self._key = ThreadSensitiveContext()

    def enter(self) -> None:
        """From here on, and in copies of the current context."""
        SyncToAsync.thread_sensitive_context.set(self._key)
        SyncToAsync.context_to_thread_executor[self._key] = self

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        lease = _lease.get(None)
        if lease is None:
            lease = _Lease(self._pool)
            _lease.set(lease)
        return lease.worker.submit(fn, *args, **kwargs)
