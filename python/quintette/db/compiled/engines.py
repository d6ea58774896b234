"""Connections of our own: how they are opened, and what their failures are in Django's words."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

from asgiref.local import Local
from django.db import connections

from quintette import _quintette
from quintette.db.compiled import pools

logger = logging.getLogger("quintette.db")

# A read of SQLite's may hold the loop so long; then it goes on in a thread. Our engine has a
# setting for it, with this default.
SQLITE_BUDGET_USEC = 3_000

# What psycopg takes and libpq does not know.
_NOT_LIBPQ = frozenset({
    "autocommit", "client_encoding", "context", "cursor_factory", "prepare_threshold",
    "row_factory",
})  # fmt: skip

_files = threading.local()
_unavailable: set[tuple[str, str]] = set()


def _give_up(alias: str, why: Exception) -> None:
    """Queries run on Django's connections then. Said once."""
    key = (alias, str(why))
    if key not in _unavailable:
        _unavailable.add(key)
        logger.warning("No connections of our own to database %r: %s", alias, why)


def storage() -> Any:
    """Where this thread's open connections are to be found by getattr: the threading.local beneath
    Django's own storage, since asgiref's takes a lock; else whatever stands in its place."""
    local: Any = connections._connections  # type: ignore[attr-defined]
    inner = getattr(local, "_storage", None)
    return inner if type(local) is Local and isinstance(inner, threading.local) else local


# --- PostgreSQL -------------------------------------------------------------------------


def libpq() -> str:
    """What psycopg has loaded libpq by."""
    import psycopg

    module = sys.modules.get(
        {"binary": "psycopg_binary.pq", "c": "psycopg_c.pq"}.get(psycopg.pq.__impl__, "")
    )
    path = getattr(module, "__file__", None)
    if path is None:
        from psycopg.pq.misc import find_libpq_full_path

        path = find_libpq_full_path()
    return path or ""


def open_pool(poller: Any, alias: str) -> Any:
    """A PgPool, or None. Raises ImproperlyConfigured."""
    connection: Any = connections[alias]
    options = pools.parse_options(
        alias, connection.settings_dict["OPTIONS"].get("compiled_pool", {})
    )
    params = {
        key: str(value)
        for key, value in connection.get_connection_params().items()
        if key not in _NOT_LIBPQ and value is not None
    }
    try:
        pool = _quintette.PgPool(
            poller, alias, libpq(), params, _startup(connection), **options.described()
        )
    except NotImplementedError as error:
        _give_up(alias, error)
        return None
    pools.note_loop()
    return pool


def _startup(connection: Any) -> str:
    quoted = connection.timezone_name.replace("'", "''")
    statements = [f"SET TIME ZONE '{quoted}'"]
    role = connection.settings_dict["OPTIONS"].get("assume_role")
    if role:
        statements.append(f"SET ROLE {connection.ops.quote_name(role)}")
    return "; ".join(statements)


def failure(
    status: int, text: str, sqlstate: str, message: str | None, detail: str | None, hint: str | None
) -> Exception:
    """The exception that Django raises for it."""
    import psycopg
    from django.db import utils

    words = message or text
    words += f"\nDETAIL:  {detail}" if detail else ""
    words += f"\nHINT:  {hint}" if hint else ""
    try:
        kind: Any = psycopg.errors.lookup(sqlstate) if sqlstate else psycopg.OperationalError
    except KeyError:
        kind = psycopg.DatabaseError
    cause = kind(words)
    for cls in (
        utils.DataError, utils.OperationalError, utils.IntegrityError, utils.InternalError,
        utils.ProgrammingError, utils.NotSupportedError, utils.DatabaseError,
    ):  # fmt: skip
        if isinstance(cause, getattr(psycopg, cls.__name__)):
            error: Exception = cls(words)
            error.__cause__ = cause
            return error
    return cause  # type: ignore[no-any-return]


# --- SQLite -----------------------------------------------------------------------------


def open_file(alias: str) -> Any:
    """This thread's SqliteFile, or None."""
    import _sqlite3

    connection: Any = connections[alias]
    name = str(connection.settings_dict["NAME"])
    files = _files.__dict__
    if name in files:
        return files[name]
    library = getattr(_sqlite3, "__file__", None)
    if library is None or connection.is_in_memory_db():
        return None
    try:
        own = getattr(connection, "read_budget", None)
        budget_usec = SQLITE_BUDGET_USEC if own is None else max(1, round(own * 1e6))
        file = _quintette.SqliteFile(library, name, None, name.startswith("file:"), budget_usec)
    except NotImplementedError as error:
        _give_up(alias, error)
        file = None
    files[name] = file
    return file


def close_files() -> None:
    """This thread's."""
    files = _files.__dict__
    while files:
        file = files.popitem()[1]
        if file is not None:
            file.close()
