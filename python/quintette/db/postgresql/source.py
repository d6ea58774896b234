"""The pool's connections: opened, checked and put in order without blocking the loop."""

from __future__ import annotations

import contextlib
import select
from typing import Any, Literal

import psycopg
from psycopg import generators, pq
from psycopg._preparing import PrepareManager
from psycopg.adapt import AdaptersMap

from quintette.concurrency import FdWait, wait_for
from quintette.db.pool import CLEANING_SECONDS, Kept, Pool
from quintette.db.postgresql.connection import PooledConnection, drive_until, open_pgconn
from quintette.db.postgresql.reading import Reader, stock_loaders
from quintette.db.postgresql.session import RESET

IDLE = pq.TransactionStatus.IDLE
INTRANS = pq.TransactionStatus.INTRANS
INERROR = pq.TransactionStatus.INERROR
OK = pq.ConnStatus.OK
FATAL_ERROR = pq.ExecStatus.FATAL_ERROR
SEVERITY = pq.DiagnosticField.SEVERITY_NONLOCALIZED
SQLSTATE = pq.DiagnosticField.SQLSTATE
# crash_shutdown: another server process has crashed, and all others end with a warning.
CRASH_SHUTDOWN = b"57P02"
# Messages that may have come to an idle connection: notices, changed parameters, and then the end.
READS_MAX = 8

# OPTIONS["loop_pool"]["reset"]
Reset = Literal["auto", "always", "never"]


class Session:
    """A connection of libpq with what belongs to the server's side of it."""

    __slots__ = ("configured", "pgconn", "prepared", "reader", "ready", "suspect", "view")

    def __init__(self, pgconn: Any) -> None:
        self.pgconn = pgconn
        self.ready = FdWait(pgconn.socket)
        self.prepared = PrepareManager()
        self.configured = False  # time zone and role are set
        self.suspect = False  # a borrower may have left something in it
        self.view: PooledConnection | None = None  # the present, or the last borrower's
        self.reader: Reader | None = None

    def lend(self, pool: Pool[Session], kept: Kept[Session]) -> PooledConnection:
        """A view with nothing of the last one's: adapters, handlers, modes."""
        source: Any = pool.source
        params = source.params
        view = PooledConnection(self.pgconn)
        view.pool = pool
        view.kept = kept
        view._autocommit = params.get("autocommit", False)
        view.ready = self.ready
        view._prepared = self.prepared
        view.prepare_threshold = params.get("prepare_threshold")
        view.cursor_factory = params["cursor_factory"]
        view._adapters = AdaptersMap(params["context"].adapters)
        self.view = view
        return view

    def take_back(self) -> None:
        view = self.view
        if view is not None:
            self.suspect |= view.session_changed or view.open_server_cursors > 0
            view.detach()

    @property
    def in_use(self) -> bool:
        """Somebody is in the middle of a statement."""
        return self.view is not None and self.view.lock.locked()


def still_there(pgconn: Any) -> bool:
    """Whether the server has not closed the connection, as far as has come here; never waits."""
    try:
        readable = select.poll()
        readable.register(pgconn.socket, select.POLLIN)
        for _ in range(READS_MAX):
            if pgconn.status != OK:
                return False
            if not readable.poll(0):
                return True
            pgconn.consume_input()
            if _says_goodbye(pgconn):
                return False
    except (psycopg.Error, OSError):
        pass
    return False


def _says_goodbye(pgconn: Any) -> bool:
    """Whether an idle connection was told why it ends. Its end itself comes a moment later. libpq
    passes such an error on as a notice."""
    found = []

    def listen(result: Any) -> None:
        found.append(result.error_field(SEVERITY))
        found.append(result.error_field(SQLSTATE))
        if usual is not None:
            usual(result)

    usual, pgconn.notice_handler = pgconn.notice_handler, listen
    try:
        pgconn.is_busy()  # reads what has come
    finally:
        pgconn.notice_handler = usual
    return not {b"FATAL", b"PANIC", CRASH_SHUTDOWN}.isdisjoint(found)


class Sessions:
    """`quintette.db.pool.Source`."""

    def __init__(
        self, params: dict[str, Any], reset: Reset, restore: bytes, key: tuple[object, ...]
    ) -> None:
        """params: for psycopg's connect; restore: statements that follow a reset; key: what of the
        settings all this comes from."""
        self.params = params
        self.reset = reset
        self.restore = restore
        self.key = key
        self.loaders = stock_loaders(params["context"].adapters)

    def open(self) -> Session:
        return Session(wait_for(open_pgconn(**self.params)))

    def alive(self, item: Session) -> bool:
        return still_there(item.pgconn)

    def probe(self, item: Session) -> bool:
        try:
            self._run(item, b"SELECT 1")
        except psycopg.Error:
            return False
        return True

    def spotless(self, item: Session) -> bool:
        pgconn = item.pgconn
        if pgconn.status != OK or pgconn.transaction_status != IDLE or pgconn.pipeline_status:
            return False
        return not item.in_use and not self._wants_reset(item)

    def _wants_reset(self, item: Session) -> bool:
        return self.reset == "always" or (self.reset == "auto" and item.suspect)

    def clean(self, item: Session) -> bool:
        if item.in_use:
            assert item.view is not None
            # A task that shares it is in the middle of something, and its next wait is refused.
            lock: Any = item.view.lock
            with getattr(lock, "inner", lock):
                pass
        pgconn = item.pgconn
        if pgconn.status != OK or pgconn.pipeline_status:
            return False
        try:
            if pgconn.transaction_status in (INTRANS, INERROR):
                self._run(item, b"ROLLBACK")
            if pgconn.transaction_status != IDLE:
                return False
            if self._wants_reset(item):
                self._run(item, RESET + self.restore)
                item.prepared = PrepareManager()
        except psycopg.Error:
            return False
        item.suspect = False
        return bool(pgconn.transaction_status == IDLE)

    def close(self, item: Session) -> None:
        item.ready.close()
        with contextlib.suppress(psycopg.Error):
            item.pgconn.finish()

    def _run(self, item: Session, statements: bytes) -> None:
        """Raises psycopg's error."""
        item.pgconn.send_query(statements)
        results = drive_until(item.ready, generators.execute(item.pgconn), CLEANING_SECONDS)
        for result in results:
            if result.status == FATAL_ERROR:
                raise psycopg.errors.error_from_result(result)
