"""Compiled queries on Django's own connections: the driver runs them, C makes their results.

Waits, locks, execute wrappers and the transaction stay Django's and the driver's.
"""

from __future__ import annotations

import functools
from typing import Any

from quintette import _quintette
from quintette.db.compiled import engines


@functools.cache
def pg_results() -> _quintette.PgResults | None:
    """Reads psycopg's results. None: libpq is not to be had, or not for certain psycopg's own."""
    from psycopg import pq

    try:
        found = _quintette.PgResults(engines.libpq())
    except NotImplementedError:
        return None
    return found if found.version == pq.version() else None


def ask_for_binary(wrapped: Any) -> bool:
    """Makes Django's cursor, which has run nothing yet, get its rows in binary format."""
    import psycopg

    inner = getattr(wrapped, "cursor", None)
    if not isinstance(inner, psycopg.Cursor) or isinstance(inner, psycopg.ServerCursor):
        return False
    if pg_results() is None or not _may_be_extended(inner):
        return False
    if isinstance(inner, psycopg.ClientCursor):
        kind: Any = type(inner)
        wrapped.cursor = _binary(kind)(inner.connection)
    else:
        inner.format = psycopg.pq.Format.BINARY
    return True


def _may_be_extended(cursor: Any) -> bool:
    """Not in a pipeline, which has its own way of sending; nor where BEGIN shall go with the
    statement in one text (quintette.db.postgresql.cursors)."""
    from psycopg.pq import TransactionStatus

    connection = cursor.connection
    idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
    joins = idle and not connection.autocommit and hasattr(cursor, "_join")
    return not joins and connection.pgconn.pipeline_status == 0


class _BinaryResults:
    """For cursors that merge parameters into the text. psycopg has them ask for text, as the simple
    query protocol gives nothing else; the extended one without parameters does."""

    __slots__ = ()
    _pgconn: Any
    _query: Any

    def _execute_send(self, query: Any, **kwargs: Any) -> None:
        from psycopg.pq import Format

        self._query = query
        self._pgconn.send_query_params(query.query, None, result_format=Format.BINARY)


@functools.cache
def _binary(cls: Any) -> Any:
    return type(f"Binary{cls.__name__}", (_BinaryResults, cls), {})


def result_of(statement: _quintette.Statement, wrapped: Any, as_json: bool) -> Any:
    """Of a cursor that was asked for binary. NotImplemented: in text."""
    return _read(statement, wrapped.cursor.pgresult, as_json)


def rows_of(statement: _quintette.Statement, wrapped: Any) -> Any:
    """The rows of a cursor that was asked for binary: Rows. NotImplemented: as result_of()."""
    return _rows(statement, wrapped.cursor.pgresult)


def fetched(statement: _quintette.Statement, wrapped: Any, count: int) -> Any:
    """The next rows of a cursor on the server, at most so many: Rows. NotImplemented: as
    result_of()."""
    import psycopg
    from psycopg import sql

    on_server = wrapped.cursor
    fetch = sql.SQL("FETCH FORWARD {} FROM {}").format(
        sql.Literal(count), sql.Identifier(on_server.name)
    )
    with wrapped.db.wrap_database_errors, psycopg.Cursor(on_server.connection) as cursor:
        cursor.execute(fetch, binary=True)
        return _rows(statement, cursor.pgresult)


def _address(result: Any) -> int | None:
    """None: of another kind than ours reads."""
    from psycopg import pq

    if pg_results() is None or type(result) is not pq.PGresult:
        return None
    address: int = result.pgresult_ptr  # type: ignore[attr-defined]
    return address


def _read(statement: _quintette.Statement, result: Any, as_json: bool) -> Any:
    reader, address = pg_results(), _address(result)
    if reader is None or address is None:
        return NotImplemented
    return reader.read(statement, address, as_json)


def _rows(statement: _quintette.Statement, result: Any) -> Any:
    reader, address = pg_results(), _address(result)
    if reader is None or address is None:
        return NotImplemented
    return reader.rows(statement, result, address)
