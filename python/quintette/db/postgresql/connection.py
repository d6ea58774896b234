"""psycopg's connection, waiting where quintette.concurrency waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from time import monotonic
from types import SimpleNamespace
from typing import Any, NoReturn, Self

import psycopg
from psycopg import pq
from psycopg.adapt import AdaptersMap

from quintette.concurrency import FdWait, Lock, can_wait, wait_for

# psycopg looks for Ctrl-C and timeouts that often; only notifies() of psycopg 3.2 asks for another.
INTERVAL_SECONDS = 0.1
# For a statement whose task was cancelled: until the server has let go of it.
CANCEL_SECONDS = 5.0

# psycopg 3.2 has no name for it, and raises none.
WaitTimeout: Any = getattr(psycopg.errors, "_WaitTimeout", TimeoutError)
IDLE = pq.TransactionStatus.IDLE
ACTIVE = pq.TransactionStatus.ACTIVE
BAD = pq.ConnStatus.BAD


class Connection(psycopg.Connection[Any]):
    """In a greenlet on the loop, its waiting lets others run; elsewhere it is psycopg's."""

    def __init__(self, pgconn: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(pgconn, *args, **kwargs)
        lock: Any = Lock()
        self.lock = lock
        # Of the connection's socket; made by the first wait on a loop. Closed before the socket is.
        self.ready: FdWait | None = None
        # A cancelled task lets this statement end, and only then is cancelled: a COMMIT.
        self.finishing = False
        # What its last statements did may outlive them in the session.
        self.session_changed = False
        self.open_server_cursors = 0

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        if not can_wait():
            return super().connect(conninfo, **kwargs)
        # As a view of the sort that the pool makes, but alone.
        connection = cls(wait_for(open_pgconn(conninfo, **kwargs)))
        connection._autocommit = bool(kwargs.get("autocommit", False))
        connection.prepare_threshold = kwargs.get("prepare_threshold", 5)
        connection.row_factory = kwargs.get("row_factory") or connection.row_factory
        connection.cursor_factory = kwargs.get("cursor_factory") or connection.cursor_factory
        if (context := kwargs.get("context")) is not None:
            connection._adapters = AdaptersMap(context.adapters)
        return connection

    def wait(
        self,
        gen: Generator[Any, Any, Any],
        interval: float = INTERVAL_SECONDS,
        timeout: float | None = None,
    ) -> Any:
        if not can_wait():
            return self._block(gen, interval, timeout)
        ready = self.ready or self._watch()
        try:
            if timeout is not None:
                return drive_until(ready, gen, timeout)
            return ready.drive(gen, None if interval == INTERVAL_SECONDS else interval)
        except Exception:
            if self.pgconn.status == BAD:
                ready.close()
            raise
        except BaseException:
            if self.finishing:
                return self._finish(gen)
            self._abandon(gen)
            raise

    def _block(self, gen: Any, interval: float, timeout: float | None) -> Any:
        if timeout is None:  # psycopg 3.2 does not know it
            return super().wait(gen, interval)
        return super().wait(gen, interval, timeout)

    def _watch(self) -> FdWait:
        if self.pgconn.status == BAD:
            raise psycopg.OperationalError("the connection is closed")
        self.ready = FdWait(self.pgconn.socket)
        return self.ready

    def close(self) -> None:
        if self.ready is not None:
            self.ready.close()
        super().close()

    # --- a task is cancelled while its statement runs ---------------------------------------------

    def _finish(self, gen: Any) -> Any:
        """Lets the statement end and cancels the task again: at its next wait."""
        task = asyncio.current_task()
        try:
            assert self.ready is not None
            result = drive_until(self.ready, gen, CANCEL_SECONDS)
        except BaseException:
            self.close()
            raise
        finally:
            if task is not None:
                task.uncancel()
                task.cancel()
        if task is None:
            raise asyncio.CancelledError
        return result

    def _abandon(self, gen: Any) -> None:
        """Cancels the running statement at the server and reads what it still says. A connection
        that does not get out of it in time is closed: nobody else must get it."""
        if self.pgconn.status == BAD or self.pgconn.transaction_status != ACTIVE:
            return
        assert self.ready is not None
        try:
            wait_for(cancel(self), CANCEL_SECONDS)
            drive_until(self.ready, gen, CANCEL_SECONDS)
        except (TimeoutError, WaitTimeout):
            self.close()
        except psycopg.Error:
            # The statement's own error: that it was cancelled, or another one.
            if self.pgconn.status == BAD:
                self.ready.close()
        except BaseException:
            self.close()
            raise


def drive_until(ready: FdWait, gen: Any, timeout: float) -> Any:
    """psycopg's _WaitTimeout after that many seconds."""
    return ready.drive(_until(gen, monotonic() + timeout), timeout)


def _until(gen: Any, deadline: float) -> Generator[int, int, Any]:
    try:
        wanted = next(gen)
        while True:
            wanted = gen.send((yield wanted))
            if monotonic() >= deadline:
                raise WaitTimeout("wait timeout expired")
    except StopIteration as end:
        return end.value


async def open_pgconn(conninfo: str = "", **kwargs: Any) -> Any:
    """A connected PGconn. psycopg's asynchronous connection looks names up in a thread, tries all
    addresses and keeps connect_timeout; its own part is thrown away."""
    opened = await psycopg.AsyncConnection.connect(conninfo, **kwargs)
    unwarned: Any = opened
    unwarned._pool = None  # or it would warn that it was not closed
    return opened.pgconn


class PooledConnection(Connection):
    """One borrower's view of a pooled libpq connection; the next one gets a view of its own."""

    # psycopg takes this for a sign that it need not warn of a connection that was not closed.
    _pool = None
    pool: Any
    kept: Any  # of the pool
    # A cursor is sending a transaction's first statement together with BEGIN: see JoiningBegin.
    begin_joins = False

    def wait(
        self,
        gen: Generator[Any, Any, Any],
        interval: float = INTERVAL_SECONDS,
        timeout: float | None = None,
    ) -> Any:
        try:
            return super().wait(gen, interval, timeout)
        finally:
            if self.pool.pressed:
                self.pool.relieve_soon(self.kept)

    def _start_query(self) -> Any:
        # The cursor sends it with the statement.
        return () if self.begin_joins else super()._start_query()

    def is_as_lent(self) -> bool:
        """Nothing was done to it that another connection in its place would not have."""
        return (
            self.pgconn.transaction_status == IDLE
            and not self.session_changed
            and not self.open_server_cursors
            and not self.lock.locked()
            and not (self._pipeline or self._tpc or self._notify_handlers or self._notice_handlers)
        )

    def detach(self) -> None:
        """From here on, whoever still has this view gets an error instead of another one's
        connection."""
        returned: Any = self
        returned.wait = _refuse
        returned.pgconn = _RETURNED
        self.ready = None


def _refuse(gen: Generator[Any, Any, Any], *_args: object, **_kwargs: object) -> NoReturn:
    gen.close()
    raise psycopg.OperationalError(
        "the connection was returned to the pool: its request, task or scope has ended"
    )


_RETURNED = SimpleNamespace(
    status=BAD,
    transaction_status=pq.TransactionStatus.UNKNOWN,
    pipeline_status=pq.PipelineStatus.OFF,
    _encoding="utf-8",
    socket=-1,
    finish=lambda: None,
)


async def cancel(connection: psycopg.Connection[Any]) -> None:
    """Asks the server to cancel the running statement. The answer comes as the statement's."""
    # psycopg's asynchronous connection does it without blocking, and needs only what both have.
    ask: Any = psycopg.AsyncConnection.cancel_safe
    with contextlib.suppress(psycopg.Error):
        await ask(connection, timeout=CANCEL_SECONDS)
