"""Django's cursors, which tell of statements that change the session."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import psycopg
from django.db.backends.postgresql import base as django_base
from psycopg import pq

from quintette.concurrency import can_wait
from quintette.db.postgresql.connection import PooledConnection
from quintette.db.postgresql.session import changes_session

IDLE = pq.TransactionStatus.IDLE


class JoiningBegin:
    """Sends BEGIN with the transaction's first statement: one round trip less. Only as text, which
    may hold several statements (the simple query protocol), and on the loop's connections."""

    __slots__ = ()
    _conn: Any
    _pgconn: Any

    def _execute_gen(self, *args: Any, **kwargs: Any) -> Generator[Any, Any, None]:
        conn = self._conn
        statement: Generator[Any, Any, None] = super()._execute_gen(*args, **kwargs)  # type: ignore[misc]
        if (
            conn._autocommit
            or self._pgconn.transaction_status != IDLE
            or not isinstance(conn, PooledConnection)
            or conn._pipeline
        ):
            return statement
        return self._join(conn, statement)

    def _join(
        self, conn: PooledConnection, statement: Generator[Any, Any, None]
    ) -> Generator[Any, Any, None]:
        conn.begin_joins = True
        try:
            yield from statement
        finally:
            conn.begin_joins = False

    def _execute_send(self, query: Any, **kwargs: Any) -> None:
        if not getattr(self._conn, "begin_joins", False):
            super()._execute_send(query, **kwargs)  # type: ignore[misc]
            return
        text = self._conn._get_tx_start_command() + b";" + query.query
        super()._execute_send(SimpleNamespace(query=text), **kwargs)  # type: ignore[misc]
        cursor: Any = self
        cursor._query = query

    def _set_results(self, results: list[Any]) -> None:
        if getattr(self._conn, "begin_joins", False):
            # The first one is BEGIN's. A statement that is only a comment has none of its own.
            results = results[1:] or results
        super()._set_results(results)  # type: ignore[misc]


class _Watched:
    __slots__ = ()
    _conn: Any

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        if changes_session(query):
            self._conn.session_changed = True
        return super().execute(query, *args, **kwargs)  # type: ignore[misc]

    def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        if changes_session(query):
            self._conn.session_changed = True
        return super().executemany(query, *args, **kwargs)  # type: ignore[misc]

    def stream(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        if changes_session(query):
            self._conn.session_changed = True
        return super().stream(query, *args, **kwargs)  # type: ignore[misc]


class Cursor(JoiningBegin, _Watched, django_base.Cursor):
    """Parameters are merged into the statement by the client."""


class ServerBindingCursor(_Watched, django_base.ServerBindingCursor):
    """Parameters are sent beside the statement."""


class _Counted:
    """A cursor at the server outlives a transaction if it is declared so. One that is open at the
    end of its scope is closed by resetting the session."""

    _conn: Any
    _closed: bool
    _counted = False

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._counted:
            self._counted = True
            self._conn.open_server_cursors += 1
        return super().execute(query, *args, **kwargs)  # type: ignore[misc]

    def close(self) -> None:
        if isinstance(self._conn, PooledConnection) and not can_wait():
            # An iterator that was dropped, and is collected where nothing can wait: it stays
            # counted, so the session is reset when its task has ended.
            self._closed = True
            return
        super().close()  # type: ignore[misc]
        if self._counted:
            self._counted = False
            self._conn.open_server_cursors -= 1


class ServerSideCursor(_Counted, django_base.ServerSideCursor):
    """Named; parameters are merged by the client."""


class ServerBindingServerSideCursor(_Counted, psycopg.ServerCursor[Any]):
    """Named; parameters are sent beside the statement."""
