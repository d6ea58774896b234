"""What the pool of a loop keeps: connections with their gates. Nothing here waits for long: the
"server" is a file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Literal

from quintette.concurrency import Lock
from quintette.db.sqlite3.gate import Gate
from quintette.db.turns import Turns


class Session:
    __slots__ = ("connection", "gate")

    def __init__(self, connection: sqlite3.Connection, gate: Gate) -> None:
        self.connection = connection
        self.gate = gate

    def share(self, turns: Turns) -> None:
        self.gate.share(turns)

    def take_back(self) -> None:
        """Ends a transaction that was left open, unless a statement runs in a thread: then clean()
        does."""
        if not self.gate.lock.locked():
            self.rollback()
            self.gate.lock = Lock()

    def rollback(self) -> None:
        try:
            with contextlib.suppress(sqlite3.Error):
                self.connection.rollback()
        finally:
            self.gate.close()


class Sessions:
    """`quintette.db.pool.Source`."""

    def __init__(
        self,
        connect: Callable[[], Session],
        reset: Literal["auto", "always", "never"],
        key: object,
        in_memory: bool,
    ) -> None:
        """key: the settings that all this comes from."""
        self._connect = connect
        self._reset = reset
        self.key = key
        self._in_memory = in_memory  # what is closed is lost

    def open(self) -> Session:
        return self._connect()

    def alive(self, item: Session) -> bool:
        return True

    def probe(self, item: Session) -> bool:
        return True

    def spotless(self, item: Session) -> bool:
        return not item.gate.lock.locked() and not self._wants_reset(item)

    def _wants_reset(self, item: Session) -> bool:
        if self._in_memory or self._reset == "never":
            return False
        return item.gate.suspect or self._reset == "always"

    def clean(self, item: Session) -> bool:
        lock = item.gate.lock
        with getattr(lock, "inner", lock):
            item.rollback()
        item.gate.lock = Lock()
        # There is no resetting a connection; opening another one takes a fraction of a millisecond.
        return not self._wants_reset(item)

    def close(self, item: Session) -> None:
        item.gate.close()
        item.connection.close()
