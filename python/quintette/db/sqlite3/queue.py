"""Writers queue: SQLite has one at a time per file.

Within a process in the order of asking, by a fair lock per file. Against other processes the one
whose turn it is tries again and again, after short random pauses that become shorter the longer it
waits, so that who came first is likely to be next.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
import weakref
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from quintette.concurrency import Lock, can_wait, sleep
from quintette.db.sqlite3.checkpoint import Checkpoints

T = TypeVar("T")
# Between two tries for SQLite's own lock, on average, in seconds: after so long a wait.
PAUSES = ((0.25, 0.0005), (0.05, 0.001), (0.0, 0.002))


class Queue:
    """Of one database file in this process. Its lock is held during a transaction that writes."""

    def __init__(self, database: str) -> None:
        self._lock = Lock()
        self.checkpoints = Checkpoints(database)

    def enter(self, seconds: float) -> bool:
        """Waits for the turn, at most so long. False: it did not come."""
        try:
            return self._lock.acquire(timeout=max(seconds, 0.0))
        except RuntimeError:
            # On a loop, outside of a greenlet, somebody has allowed themselves to block
            # (DJANGO_ALLOW_ASYNC_UNSAFE). Then SQLite's lock has to do.
            return False

    def leave(self) -> None:
        self._lock.release()


_queues: weakref.WeakValueDictionary[str, Queue] = weakref.WeakValueDictionary()


def queue_of(name: str) -> Queue:
    """The queue of a database by its path or "file:" URI."""
    path = unquote(urlsplit(name).path) if name.startswith("file:") else name
    key = os.path.realpath(path)
    queue = _queues.get(key)
    if queue is None:
        # setdefault: another thread may have been here.
        queue = _queues.setdefault(key, Queue(name))
    return queue


# A lock that was held during a fork stays held in the child, where nobody will release it.
os.register_at_fork(after_in_child=_queues.clear)


def is_busy(error: sqlite3.Error) -> bool:
    """Another connection has the lock. An extended code's low byte is the primary one."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY


def persist(call: Callable[[], T], deadline: float) -> T:
    """Repeats, until then by the monotonic clock, what fails because the database is locked.

    For what SQLite itself would wait with; its own busy handler must be off.
    """
    began = time.monotonic()
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            now = time.monotonic()
            if not is_busy(error) or now >= deadline:
                raise
        _pause(now - began)


def _pause(waited: float) -> None:
    """Between two tries."""
    mean = next(mean for least, mean in PAUSES if waited >= least)
    seconds = mean * random.uniform(0.5, 1.5)
    if can_wait():
        sleep(seconds)
    else:
        time.sleep(seconds)
