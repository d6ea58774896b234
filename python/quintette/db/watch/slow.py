"""The log of slow queries (``QUINTETTE["SLOW_QUERY_MS"]``), each with its plan.

The plan is asked for afterwards, by a thread with connections of its own, at most once a minute for
a statement: whoever was slow does not wait for it, and its transaction does not know of it.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connections

from quintette.db.watch import plans
from quintette.db.watch.record import Query, Record

logger = logging.getLogger("quintette.db.slow")

PLAN_SECONDS = 60.0
TEXTS_MAX = 1_000
# Queries that wait for their plan; what is beyond is logged without.
WAITING_MAX = 100
# Without a slow query for so long, the thread closes its connections.
IDLE_SECONDS = 10.0
SQL_CHARS_MAX = 10_000


class Slow(NamedTuple):
    """One to be logged."""

    query: Query
    request: str
    values: bool
    """Whether they may be shown."""


class Planner:
    """Asks for plans in a thread of its own, which begins with the first query."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: dict[str, float] = {}  # text -> when; in the order of their last plan
        self._waiting: queue.Queue[Slow] = queue.Queue(WAITING_MAX)
        self._thread: threading.Thread | None = None

    def is_here(self) -> bool:
        return threading.current_thread() is self._thread

    def take(self, slow: Slow) -> bool:
        """False: the query is logged without a plan."""
        query = slow.query
        if not plans.can_explain(query.sql, query.params) or not self._is_due(query.sql):
            return False
        try:
            self._waiting.put_nowait(slow)
        except queue.Full:
            return False
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="quintette-slow-queries", daemon=True
                )
                self._thread.start()
        return True

    def join(self) -> None:
        """Waits until all that were taken are logged."""
        self._waiting.join()

    def _is_due(self, sql: str) -> bool:
        now = time.monotonic()
        with self._lock:
            last = self._planned.get(sql)
            if last is not None and now - last < PLAN_SECONDS:
                return False
            self._planned.pop(sql, None)
            self._planned[sql] = now
            while len(self._planned) > TEXTS_MAX:
                del self._planned[next(iter(self._planned))]
            return True

    def _work(self) -> None:
        while True:
            try:
                slow = self._waiting.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                connections.close_all()
                continue
            try:
                log(slow, _plan_of(slow.query))
            except Exception:
                logger.exception("A slow query could not be logged")
            finally:
                self._waiting.task_done()


planner = Planner()


def report(query: Query, record: Record | None) -> None:
    """Any thread. Does not wait."""
    if planner.is_here():
        return
    request = record.name if record is not None else ""
    slow = Slow(query, request, settings.DEBUG)
    if not planner.take(slow):
        log(slow, None)


def log(slow: Slow, plan: plans.Plan | None) -> None:
    query, request, values = slow
    parts = [f"Slow query: {query.ms:.0f} ms" + (", failed" if query.failed else "")]
    parts[0] += f" in {request}" if request else ""
    parts[0] += f" at {query.line}" if query.line is not None else ""
    parts.append(query.sql[:SQL_CHARS_MAX])
    if query.params:
        parts.append(f"parameters: {parameters(query.params, values=values)}")
    if plan is not None:
        lines = plan.lines if values else plans.without_values(plan.lines)
        parts += ["plan:", *(f"  {line}" for line in lines)]
        parts += [f"hint: {hint}" for hint in plan.hints]
    logger.warning(
        "%s",
        "\n".join(parts),
        extra={
            "database": query.alias,
            "duration_ms": round(query.ms, 3),
            "line": str(query.line or ""),
        },
    )


def parameters(params: Any, *, values: bool) -> str:
    """Them, or their types."""
    found = list(params.values()) if isinstance(params, Mapping) else list(params)
    return ", ".join(_shown(value) if values else type(value).__name__ for value in found)


def _shown(value: Any) -> str:
    """Without the wrappers that tell psycopg an integer's width."""
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    is_wrapped = isinstance(value, int) and not isinstance(value, bool)
    return int.__repr__(value) if is_wrapped else repr(value)


def _plan_of(query: Query) -> plans.Plan | None:
    """In a transaction that may not write: not even a function that the planner calls."""
    connection: Any = connections[query.alias]
    try:
        return plans.explain(connection, query.sql, query.params, read_only=True)
    except Exception as error:
        connection.close()
        return plans.Plan([f"no plan: {error}"], [])


if hasattr(os, "register_at_fork"):
    # The parent's thread, and what it has to log, stay there.
    os.register_at_fork(after_in_child=planner.__init__)  # type: ignore[misc]
