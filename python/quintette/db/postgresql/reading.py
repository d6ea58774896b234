"""Rows of ordinary queries, without a cursor.

A query whose SQL is kept (`quintette.db.statements`) and that nobody listens to is sent as psycopg
would send it, with its parameters merged into the text by psycopg's own dumpers; its rows come in
binary and become the driver's tuples in C. Outside of a transaction a connection is borrowed for
this one statement, so that none has to be set up for the task.

Whatever Django, a project or an agent could have put in the way (a transaction of another task, an
execute wrapper, a debug cursor, an adapter of its own, a patched method) means: not here.
"""

from __future__ import annotations

import datetime as dt
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import ReferenceType

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper
from django.utils import asyncio
from psycopg import errors, generators, pq
from psycopg.adapt import AdaptersMap, Transformer

from quintette.concurrency import can_wait
from quintette.db import seen
from quintette.db.compiled.driver import pg_results
from quintette.db.postgresql.connection import PooledConnection
from quintette.server.own import own, own_method

if TYPE_CHECKING:
    from quintette.db.pool import Kept, Pool
    from quintette.db.postgresql.base import DatabaseWrapper
    from quintette.db.postgresql.source import Session
    from quintette.db.statements import Statement

Parts = tuple[bytes, ...]

BINARY = pq.Format.BINARY
INTRANS = pq.TransactionStatus.INTRANS
OK = pq.ConnStatus.OK
TUPLES_OK = pq.ExecStatus.TUPLES_OK
PIPELINE_OFF = pq.PipelineStatus.OFF
# Texts whose results have types that only psycopg reads; when it is full, all are tried again.
UNREADABLE_MAX = 1024


def _own(cls: type, name: str) -> Any:
    """The function in that place if Django put it there, as it is or guarded; else None."""
    function = vars(cls)[name]
    if getattr(function, "__globals__", None) is not vars(asyncio):
        return own_method(cls, name)
    guarded = own(sys.modules[cls.__module__], f"{cls.__qualname__}.{name}", function.__wrapped__)
    return guarded and function


# What Django's path to the database leads through.
_PATH: Final = tuple(
    (cls, name, _own(cls, name))
    for cls, names in (
        (CursorWrapper, ("execute", "_execute", "_execute_with_wrappers")),
        (BaseDatabaseWrapper, ("connect", "ensure_connection", "cursor", "_cursor")),
    )
    for name in names
)
# They want to be told of threads' connections, and set up what only psycopg reads.
_INDIFFERENT: Final = frozenset({"quintette.server.threads", "django.contrib.postgres.signals"})

# Its receiver gives each connection the wrapper that is `seen.watch`.
_WATCHING: Final = "quintette.db.watch.seeing"

# By type: the loader, of psycopg or Django, whose values C makes.
_LOADERS: Final = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), "IntLoader"),
    **dict.fromkeys(("float4", "float8"), "FloatLoader"),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "jsonb", "inet", "cidr"), "TextLoader"),
    "bool": "BoolLoader",
    "numeric": "NumericLoader",
    "bytea": "ByteaLoader",
    "date": "DateLoader",
    "time": "TimeLoader",
    "timestamp": "TimestampLoader",
    "timestamptz": "SpecificTzLoader",
    "interval": "IntervalLoader",
    "uuid": "UUIDLoader",
}
_LOADERS_COME_FROM: Final = ("psycopg", "django.db.backends.postgresql")

_unreadable: set[str] = set()


class Query(NamedTuple):
    sql: str
    parts: Parts
    """Its text around the parameters."""
    parameters: tuple[Any, ...]


def serves(wrapper: DatabaseWrapper) -> bool:
    """Whether the wrapper's next query may be read here, as far as can be said without it."""
    return (
        can_wait()
        and wrapper.reads_directly
        and (not wrapper.execute_wrappers or wrapper.execute_wrappers == [seen.watch])
        and not wrapper.queries_logged
        and not wrapper.is_shared
        and not wrapper.needs_rollback
        and wrapper.timezone is dt.UTC
        and all(vars(cls).get(name) is function for cls, name, function in _PATH)
        and pg_results() is not None
    )


def rows(wrapper: DatabaseWrapper, statement: Statement, parameters: tuple[Any, ...]) -> Any:
    """Rows; None: it is Django's to run. Waits; raises what Django would."""
    parts = statement.parts
    if parts is None or len(parameters) != len(parts) - 1 or statement.sql in _unreadable:
        return None
    query = Query(statement.sql, parts, parameters)
    read = _on_borrowed if wrapper.connection is None else _on_own
    found = read(wrapper, query)
    if found is not NotImplemented:
        return found
    if len(_unreadable) >= UNREADABLE_MAX:
        _unreadable.clear()
    _unreadable.add(statement.sql)
    return None


# --- where ----------------------------------------------------------------------------------------


def _on_borrowed(wrapper: DatabaseWrapper, query: Query) -> Any:
    if not wrapper.connects_quickly() or wrapper.in_atomic_block or _listens():
        return None
    pool = wrapper.pool_here()
    kept = pool.borrow(wrapper)
    try:
        session = kept.item
        # Its first borrower sets it up, through Django.
        source: Any = pool.source
        if not session.configured or source.loaders is None:
            return None
        if session.reader is None:
            session.reader = Reader(session, pool, kept)
        return _ask(session.reader.view, session.reader.transformer, wrapper, query)
    finally:
        pool.release(kept)


def _listens() -> bool:
    """Whether somebody wants to see each connection, maybe to change its session."""
    for _key, receiver, *_more in connection_created.receivers:
        function = receiver() if isinstance(receiver, ReferenceType) else receiver
        if function is None or function.__module__ in _INDIFFERENT:
            continue
        if function.__module__ != _WATCHING or seen.watch is None:
            return True
    return False


def _on_own(wrapper: DatabaseWrapper, query: Query) -> Any:
    raw = wrapper.connection
    if not isinstance(raw, PooledConnection) or raw.pgconn.status != OK or raw._pipeline:
        return None
    loaders = raw.pool.source.loaders
    if loaders is None or table_of(raw.adapters) is not loaders or raw.info.encoding != "utf-8":
        return None
    # A transaction's first statement goes together with BEGIN, by a cursor.
    if not raw.autocommit and raw.pgconn.transaction_status != INTRANS:
        return None
    return _ask(raw, Transformer(raw), wrapper, query)


class Reader:
    """What an idle session's statements are sent by. No borrower sees it."""

    __slots__ = ("transformer", "view")

    def __init__(self, session: Session, pool: Pool[Session], kept: Kept[Session]) -> None:
        source: Any = pool.source
        self.view = PooledConnection(session.pgconn)
        self.view.pool = pool
        self.view.kept = kept
        self.view.ready = session.ready
        self.view._autocommit = True
        self.view._adapters = AdaptersMap(source.params["context"].adapters)
        self.transformer = Transformer(self.view)


# --- one statement --------------------------------------------------------------------------------


def _ask(raw: PooledConnection, transformer: Any, wrapper: DatabaseWrapper, query: Query) -> Any:
    watch = seen.watch
    if watch is None:
        result = _result(raw, transformer, wrapper, query)
    else:
        result = watch(
            lambda *_: _result(raw, transformer, wrapper, query),
            query.sql,
            query.parameters,
            False,
            {"connection": wrapper},
        )
    reader = pg_results()
    assert reader is not None
    return reader.tuples(result.pgresult_ptr)


def _result(raw: PooledConnection, transformer: Any, wrapper: DatabaseWrapper, query: Query) -> Any:
    with wrapper.wrap_database_errors:
        text = _merged(transformer, query.parts, query.parameters)
        with raw.lock:
            raw.pgconn.send_query_params(text, None, result_format=BINARY)
            results = raw.wait(generators.execute(raw.pgconn))
        result = results[-1]
        if result.status != TUPLES_OK:
            raise errors.error_from_result(result)
    return result


def _merged(transformer: Any, parts: Parts, parameters: tuple[Any, ...]) -> bytes:
    literals = [b"NULL" if value is None else transformer.as_literal(value) for value in parameters]
    return b"".join(chain.from_iterable(zip(parts, literals, strict=False))) + parts[-1]


# --- the values that psycopg makes ----------------------------------------------------------------


def stock_loaders(adapters: AdaptersMap) -> Any:
    """The table of loaders, if they make the values that C makes; else None. Adapters that are
    changed get another table."""
    for name, loads in _LOADERS.items():
        info = adapters.types[name]
        assert info is not None
        if not _is_stock(adapters, info.oid, loads):
            return None
        if not _is_stock(adapters, info.array_oid, f"{name.capitalize()}ArrayLoader"):
            return None
    return table_of(adapters)


def _is_stock(adapters: AdaptersMap, oid: int, name: str) -> bool:
    loader = adapters.get_loader(oid, pq.Format.TEXT)
    return (
        loader is not None
        and loader.__name__ == name
        and loader.__module__.startswith(_LOADERS_COME_FROM)
    )


def table_of(adapters: Any) -> Any:
    return getattr(adapters, "_loaders", (None,))[0]
