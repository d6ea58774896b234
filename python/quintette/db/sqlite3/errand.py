"""A call in a thread, on behalf of a greenlet that owns the connection."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from quintette.concurrency import in_thread

T = TypeVar("T")
# A statement that does not end when it is interrupted is interrupted again after so many seconds.
AGAIN_SECONDS = 0.05


class Errand(Generic[T]):
    """Runs a call in a thread. If whoever waits for it is cancelled, SQLite is interrupted, and the
    thread has left the connection when run() returns: what comes next is a rollback.
    """

    def __init__(self, connection: sqlite3.Connection, call: Callable[[], T]) -> None:
        self._connection = connection
        self._call = call
        self._mutex = threading.Lock()
        self._started = False
        self._abandoned = False
        self._ended = threading.Event()

    def run(self) -> T:
        try:
            return in_thread(self._run)
        except BaseException:
            self._abandon()
            raise

    def _run(self) -> T:
        with self._mutex:
            if self._abandoned:
                raise sqlite3.OperationalError("interrupted")  # nobody will see it
            self._started = True
        try:
            return self._call()
        finally:
            self._ended.set()

    def _abandon(self) -> None:
        with self._mutex:
            self._abandoned = True
            if not self._started:
                return
        # Blocks the loop, for as long as SQLite takes to notice: microseconds as a rule.
        while not self._ended.is_set():
            self._connection.interrupt()
            self._ended.wait(AGAIN_SECONDS)
