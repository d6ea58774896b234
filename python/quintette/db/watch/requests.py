"""What a request asked the databases: a line in the log, warnings, ``Server-Timing``."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings as django_settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

from quintette.conf import get_settings
from quintette.db.watch import record
from quintette.db.watch.record import Query, Record, counted

logger = logging.getLogger("quintette.db.queries")
statements = logging.getLogger("quintette.db.statements")


class Watched:
    """One request under way. What the extension calls: see binding/query/watch.h."""

    __slots__ = ("_handler", "_path", "_record", "_timing")

    def __init__(self, path: str, handler: Any, record: Record, timing: bool) -> None:
        self._path = path
        self._handler = handler
        self._record = record
        self._timing = timing

    def fields(self) -> list[tuple[str, str]] | None:
        """Of the response's head."""
        return [("Server-Timing", server_timing(self._record))] if self._timing else None

    def end(self) -> None:
        self._record.end()
        if self._record.detailed:
            report(self._record, self._view)

    def _view(self) -> str:
        if self._handler is not None:
            return name_of(self._handler)
        try:
            return resolve(unquote(self._path))._func_path
        except Resolver404:
            return ""


def begin(method: str, path: bytes, handler: Any) -> Watched | None:
    """In the context of the request. None: it is not watched, or by somebody else."""
    if record.current() is not None:
        return None
    detailed, timing = wanted_now()
    if not detailed and not timing:
        return None
    text = path.decode("latin-1")
    settings = get_settings()
    made = Record(f"{method} {text}", detailed, settings.repeated_queries_min)
    record.enter(made)
    return Watched(text, handler, made, timing)


def wanted() -> bool:
    """Whether requests are watched, or may be."""
    return any(wanted_now())


def wanted_now() -> tuple[bool, bool]:
    """Queries and their lines; ``Server-Timing``."""
    settings = get_settings()
    debug = django_settings.DEBUG
    return (
        debug if settings.watch_queries is None else settings.watch_queries,
        debug if settings.server_timing is None else settings.server_timing,
    )


def name_of(view: Any) -> str:
    function = inspect.unwrap(view)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}.{name}"


def server_timing(record: Record) -> str:
    return (
        f'db;dur={record.queries_ms:.1f};desc="{counted(record.count)}", total;dur={record.ms:.1f}'
    )


def report(record: Record, view: Callable[[], str]) -> None:
    """Once the request is over."""
    logger.debug(
        "%s: %s, %.1f ms in all",
        record.name,
        record.summary(),
        record.ms,
        extra={"queries": record.count, "queries_ms": round(record.queries_ms, 3)},
    )
    if statements.isEnabledFor(logging.DEBUG):
        for query in record.queries:
            statements.debug("%s: %s", record.name, described(query))
    for repeated in record.in_loops():
        name = view()
        where = f"{record.name} ({name})" if name else record.name
        fix = repeated.fix
        what = f"; {fix.relation} is read one by one" if fix and fix.relation else ""
        advice = f": {fix.advice}" if fix else ""
        logger.warning(
            "%s: %d times the same query from %s%s%s.\n%s",
            where,
            repeated.count,
            repeated.line,
            what,
            advice,
            repeated.sql,
            extra={"view": name, "line": str(repeated.line), "count": repeated.count},
        )


def described(query: Query) -> str:
    where = f" at {query.line}" if query.line is not None else ""
    failed = ", failed" if query.failed else ""
    return f"{query.ms:.1f} ms{failed}{where}: {query.sql}"


class QueriesMiddleware:
    """The same under other servers than ``manage.py serve``: put it first in ``MIDDLEWARE``."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        if not wanted():
            raise MiddlewareNotUsed
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._answer(request)
        watched = self._begin(request)
        try:
            return self._finish(watched, self._get_response(request))
        finally:
            if watched is not None:
                watched.end()

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        watched = self._begin(request)
        try:
            response: HttpResponseBase = await self._get_response(request)
            return self._finish(watched, response)
        finally:
            if watched is not None:
                watched.end()

    @staticmethod
    def _begin(request: HttpRequest) -> Watched | None:
        return begin(request.method or "", request.path_info.encode("utf-8", "replace"), None)

    @staticmethod
    def _finish(watched: Watched | None, response: HttpResponseBase) -> HttpResponseBase:
        for name, value in (watched.fields() if watched is not None else None) or ():
            present = response.headers.get(name)
            response.headers[name] = f"{present}, {value}" if present else value
        return response
