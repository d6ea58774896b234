"""What is told of each query: by Django's connections (``execute_wrappers``), and by the extension
of those that run on connections of our own (binding/query/watch.h)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

from asgiref.sync import SyncToAsync
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import connections
from django.db.backends.signals import connection_created

from quintette import _quintette
from quintette.conf import get_settings
from quintette.db import seen
from quintette.db.watch import lines, record, requests, slow
from quintette.db.watch.record import Query

_NEVER = float("inf")


class _State:
    """What is in place now."""

    lock = threading.Lock()
    holds = 0  # of recorded() blocks
    slow_ns = _NEVER  # queries that take so long are logged


# --- Django's connections ---------------------------------------------------------------


def _watch(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """One of Django's execute wrappers."""
    current = record.current()
    line = None if current is None else current.begin(_text(sql), sys._getframe(1))
    failed = True
    began = perf_counter_ns()
    try:
        result = execute(sql, params, many, context)
        failed = False
        return result
    finally:
        ended = perf_counter_ns()
        if current is not None or ended - began >= _State.slow_ns:
            alias = context["connection"].alias
            params = None if many else params
            query = Query(_text(sql), params, alias, began, ended, line, failed)
            _done(query, current)


def _done(query: Query, current: record.Record | None) -> None:
    if current is not None:
        current.add(query)
    if query.ended_ns - query.began_ns >= _State.slow_ns:
        query.line = query.line or lines.find_here()
        slow.report(query, current)


def _text(sql: Any) -> str:
    """psycopg takes objects, too."""
    if isinstance(sql, str):
        return sql
    as_string = getattr(sql, "as_string", None)
    return str(as_string(None)) if as_string is not None else str(sql)


def _attach(connection: Any, **_kwargs: object) -> None:
    wrappers = connection.execute_wrappers
    if _watch not in wrappers:
        wrappers.insert(0, _watch)  # connection.execute_wrapper() takes its own from the end


# --- compiled queries on connections of our own -----------------------------------------


def _watch_compiled(
    statement: _quintette.Statement, arguments: tuple[Any, ...]
) -> Callable[[bool], None] | None:
    current = record.current()
    if current is None and _State.slow_ns == _NEVER:
        return None
    python = statement.python
    line = None
    if current is not None:
        line = current.begin_compiled(python.sql.named(), python.function, sys._getframe())
    began = perf_counter_ns()

    def done(succeeded: bool) -> None:
        ended = perf_counter_ns()
        if current is None and ended - began < _State.slow_ns:
            return
        query = Query(
            python.sql.named(), python.named_values(arguments), python.alias, began, ended,
            line or lines.of_function(python.function), not succeeded, compiled=True,
        )  # fmt: skip
        _done(query, current)

    return done


# --- code of the loop that asks in threads ----------------------------------------------


def _told(call: Callable[..., Any]) -> Callable[..., Any]:
    """asgiref's, which tells the thread from which line it was called."""

    async def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        current = record.current()
        if current is None or not current.detailed:
            return await call(self, *args, **kwargs)
        before = lines.caller.get()
        lines.caller.set(lines.find_here())
        try:
            return await call(self, *args, **kwargs)
        finally:
            lines.caller.set(before)

    __call__.quintette_watch = True  # type: ignore[attr-defined]
    return __call__


# --- putting all that in place ----------------------------------------------------------


def install() -> None:
    """Puts in place what the settings ask for now, or takes it away."""
    settings = get_settings()
    slow_ms = settings.slow_query_ms
    _State.slow_ns = _NEVER if slow_ms is None else slow_ms * 1e6
    watches = requests.wanted()
    sees = watches or slow_ms is not None or _State.holds > 0
    _quintette.set_watch(requests.begin if watches else None, _watch_compiled if sees else None)
    # What is recorded is to be what Django does, query by query; slowness is seen as well here.
    seen.watch = _watch if sees and not watches and not _State.holds else None
    if not sees:
        connection_created.disconnect(_attach, dispatch_uid=__name__)
        for connection in connections.all(initialized_only=True):
            if _watch in connection.execute_wrappers:
                connection.execute_wrappers.remove(_watch)
        return
    connection_created.connect(_attach, dispatch_uid=__name__)
    for connection in connections.all(initialized_only=True):
        _attach(connection)
    if not hasattr(SyncToAsync.__call__, "quintette_watch") and (watches or _State.holds):
        SyncToAsync.__call__ = _told(SyncToAsync.__call__)  # type: ignore[method-assign]


def hold() -> None:
    """Queries are seen until release(), whatever the settings say."""
    with _State.lock:
        _State.holds += 1
        install()


def release() -> None:
    with _State.lock:
        _State.holds -= 1
        install()


def _changed(*, setting: str, **_kwargs: object) -> None:
    if setting in ("QUINTETTE", "DEBUG") and django_settings.configured:
        with suppress(ImproperlyConfigured):
            install()


setting_changed.connect(_changed, dispatch_uid=__name__)
