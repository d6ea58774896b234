"""How the statements of a connection run: here or in a thread, at once or in turn."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from quintette.concurrency import Lock, can_wait
from quintette.db.sqlite3.checkpoint import Checkpoints
from quintette.db.sqlite3.errand import Errand
from quintette.db.sqlite3.queue import Queue, is_busy, persist
from quintette.db.sqlite3.slow import SlowTexts
from quintette.db.turns import TurnLock, Turns

T = TypeVar("T")
# VM instructions between two looks at the clock: 0.1 to 0.2 ms.
PROGRESS_STEPS = 4000
NEVER = float("inf")


class Budget:
    """A progress handler: stops the statement that runs when its time is over."""

    def __init__(self) -> None:
        self._until = NEVER
        self._installed = False
        self.over = False

    def start(self, connection: sqlite3.Connection, seconds: float) -> None:
        self.over = False
        self._until = time.perf_counter() + seconds
        if not self._installed:
            connection.set_progress_handler(self._look, PROGRESS_STEPS)
            self._installed = True

    def stop(self) -> None:
        self._until = NEVER

    def remove(self, connection: sqlite3.Connection) -> None:
        """Each look takes the GIL: a statement in a thread should not ask for it all the time."""
        if self._installed:
            connection.set_progress_handler(None, 0)
            self._installed = False

    def _look(self) -> bool:
        if time.perf_counter() < self._until:
            return False
        self.over = True
        return True


class Gate:
    """Of one connection, which one thread at a time uses. On a loop the tasks of a transaction may
    share it: their statements queue on `lock`.

    SQLite's own busy handler sleeps in C and without order. It is on (`patient`) except while a
    writer tries to begin, and on an event loop.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        queue: Queue | None,
        slow: SlowTexts,
        busy_timeout_ms: int,
        read_budget: float,
    ) -> None:
        self.lock: Lock | TurnLock = Lock()
        # A statement may have changed the connection itself, for whoever gets it next.
        self.suspect = False
        self.checkpoints: Checkpoints | None = None  # what to tell of transactions
        self._connection = connection
        self._queue = queue  # None: a database in memory, which nobody else sees
        self._slow = slow
        self._busy_timeout_ms = busy_timeout_ms
        self._read_budget = read_budget  # seconds
        self._budget = Budget()
        self._patient = True
        self._holding = False  # the turn in the queue

    def __del__(self) -> None:
        self.close()

    def share(self, turns: Turns) -> None:
        """From now on several tasks of one transaction use it."""
        self.lock = TurnLock(self.lock, turns)

    # --- reads on the loop ------------------------------------------------------------------------

    def read(self, sql: str, call: Callable[[], T]) -> T:
        """Runs a read in a greenlet: here if it is short, else in a thread.

        `call` may be repeated. SQLite undoes nothing of a transaction when a read in it is stopped
        (https://www.sqlite.org/c3ref/interrupt.html).
        """
        with self.lock:
            if sql in self._slow:
                return self._read_in_thread(sql, call)
            self._set_patient(False)
            self._budget.start(self._connection, self._read_budget)
            try:
                return call()
            except sqlite3.OperationalError as error:
                if self._budget.over:
                    self._slow.add(sql)
                elif not is_busy(error):
                    raise
            finally:
                self._budget.stop()
            return self._in_thread(call)

    def _read_in_thread(self, sql: str, call: Callable[[], T]) -> T:
        started = time.perf_counter()
        found = self._in_thread(call)
        if time.perf_counter() - started < self._read_budget / 2:
            self._slow.discard(sql)
        return found

    def fetch(self, call: Callable[[], T]) -> T:
        """Fetches further rows of a read."""
        with self.lock:
            return self._in_thread(call)

    def _in_thread(self, call: Callable[[], T]) -> T:
        self._set_patient(True)
        self._budget.remove(self._connection)
        return Errand(self._connection, call).run()

    # --- what is neither read nor write -----------------------------------------------------------

    def be_patient(self) -> None:
        """A statement is about to run in a thread, or where there is no loop."""
        self._set_patient(True)

    def other(self, call: Callable[[], T]) -> T:
        """Runs a pragma, a savepoint, COMMIT, ..."""
        try:
            if can_wait():
                with self.lock:
                    return self._now(call)
            self._set_patient(True)
            return call()
        finally:
            self.settle()

    def _now(self, call: Callable[[], T]) -> T:
        """On a loop."""
        self._set_patient(False)
        try:
            return call()
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        # SQLite knows whether to wait makes sense: not for a snapshot that is too old to write.
        return self._in_thread(call)

    # --- writes -----------------------------------------------------------------------------------

    def write(self, sql: str, call: Callable[[], T], *, long: bool = False) -> T:
        """Runs a write, or what begins a transaction that will, when its turn has come.

        One that fails because of a lock has done nothing, and is repeated. It cannot be stopped in
        order to be repeated in a thread; one that was slow goes there the next time.
        """
        if not can_wait():
            return self._write(call)
        with self.lock:
            if not long and sql not in self._slow:
                return self._write(self._timed(sql, call))
            with self._turn():
                return self._in_thread(call)

    def _write(self, call: Callable[[], T]) -> T:
        with self._turn() as deadline:
            if not self._connection.in_transaction:
                return self._persist(call, deadline)
            if can_wait():
                return self._now(call)
            self._set_patient(True)
            return call()

    def script(self, call: Callable[[], T]) -> T:
        """Runs several statements, which are not repeated."""
        if can_wait():
            with self.lock, self._turn():
                return self._in_thread(call)
        with self._turn():
            self._set_patient(True)
            return call()

    def _timed(self, sql: str, call: Callable[[], T]) -> Callable[[], T]:
        def timed() -> T:
            started = time.perf_counter()
            found = call()
            if time.perf_counter() - started > self._read_budget:
                self._slow.add(sql)
            return found

        return timed

    @contextlib.contextmanager
    def _turn(self) -> Iterator[float]:
        """Gives when to give up, by the monotonic clock. The turn stays with a transaction."""
        deadline = time.monotonic() + self._busy_timeout_ms / 1000
        if not self._holding and self._queue is not None:
            self._holding = self._queue.enter(self._busy_timeout_ms / 1000)
            if not self._holding and time.monotonic() >= deadline:
                raise self._too_late()
        try:
            yield deadline
        finally:
            self.settle()

    def _too_late(self) -> sqlite3.OperationalError:
        error = sqlite3.OperationalError(
            f"database is locked: other writers of this process had their turn for all of "
            f"{self._busy_timeout_ms / 1000:g} s"
        )
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        error.sqlite_errorname = "SQLITE_BUSY"
        return error

    def _persist(self, call: Callable[[], T], deadline: float) -> T:
        """Outside of a transaction, so that SQLite itself would wait for each lock."""
        self._set_patient(False)
        try:
            return persist(call, deadline)
        finally:
            if not can_wait():
                self._set_patient(True)

    def settle(self) -> None:
        """Gives the turn away if no transaction is open."""
        if self._holding and not self._connection.in_transaction:
            self.close()
            if self.checkpoints is not None:
                self.checkpoints.wrote()

    def close(self) -> None:
        """Gives the turn away; the connection is closed, or about to be."""
        if self._holding and self._queue is not None:
            self._holding = False
            self._queue.leave()

    def _set_patient(self, patient: bool) -> None:
        if patient is not self._patient:
            milliseconds = self._busy_timeout_ms if patient else 0
            self._connection.execute(f"PRAGMA busy_timeout = {milliseconds}").close()
            self._patient = patient
