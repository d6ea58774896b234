"""The queries of one request, or of one block of code."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from quintette.db.watch import fixes, lines
from quintette.db.watch.fixes import Fix
from quintette.db.watch.lines import Line

# Queries kept of one record, and places in loops; of what is beyond only the number is known.
QUERIES_MAX = 2_000
# Statements that take part in a transaction and read nothing.
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET ")


@dataclass(slots=True)
class Query:
    sql: str
    params: Any
    """As they were bound; of ``executemany()`` None."""
    alias: str
    began_ns: int
    ended_ns: int
    line: Line | None
    failed: bool = False
    compiled: bool = False

    @property
    def ms(self) -> float:
        return (self.ended_ns - self.began_ns) / 1e6

    @property
    def is_control(self) -> bool:
        return self.sql.lstrip().upper().startswith(_CONTROL)


@dataclass(slots=True)
class Repeated:
    """A statement that one line of code makes again and again."""

    sql: str
    line: Line
    count: int = 0
    fix: Fix | None = None


@dataclass(slots=True)
class Record:
    """Filled by whichever tasks, greenlets and threads have its context."""

    name: str = ""
    detailed: bool = True
    """With lines of code and what is repeated; else only the time of each query is of interest."""
    repeats_min: int = 5
    queries: list[Query] = field(default_factory=list)
    count: int = 0
    over: bool = False
    began_ns: int = field(default_factory=time.perf_counter_ns)
    ended_ns: int = 0
    _repeated: dict[tuple[str, Line], Repeated] = field(default_factory=dict)

    # --- while it runs ------------------------------------------------------------------

    def begin(self, sql: str, frame: FrameType | None) -> Line | None:
        """A query is about to run: called with the stack that asks for it."""
        if not self.detailed:
            return None
        line = lines.find(frame)
        repeated = None if line is None else self._repeat(sql, line)
        if repeated is not None and repeated.count == self.repeats_min:
            repeated.fix = fixes.find(sql, frame)
        return line

    def begin_compiled(self, sql: str, function: Any, frame: FrameType | None) -> Line | None:
        """The same of a compiled query; one that a handler has returned has no stack."""
        if not self.detailed:
            return None
        line = lines.find(frame) or lines.of_function(function)
        repeated = self._repeat(sql, line)
        if repeated is not None and repeated.count == self.repeats_min:
            repeated.fix = fixes.of_compiled(function.__qualname__)
        return line

    def _repeat(self, sql: str, line: Line) -> Repeated | None:
        repeated = self._repeated.get((sql, line))
        if repeated is None:
            if len(self._repeated) >= QUERIES_MAX:
                return None
            repeated = self._repeated[sql, line] = Repeated(sql, line)
        repeated.count += 1
        return repeated

    def add(self, query: Query) -> None:
        self.count += 1
        if len(self.queries) < QUERIES_MAX:
            self.queries.append(query)

    def forget(self) -> None:
        """Begins anew."""
        self.queries.clear()
        self._repeated.clear()
        self.count = 0
        self.began_ns = time.perf_counter_ns()

    def end(self) -> None:
        if not self.over:
            self.ended_ns = time.perf_counter_ns()
            self.over = True

    # --- what came of it ----------------------------------------------------------------

    @property
    def ms(self) -> float:
        """From its beginning to its end, or until now."""
        return ((self.ended_ns or time.perf_counter_ns()) - self.began_ns) / 1e6

    @property
    def queries_ms(self) -> float:
        """How long some query ran: the time of those that ran together counts once."""
        total, until = 0, 0
        for query in sorted(self.queries, key=lambda query: query.began_ns):
            total += max(0, query.ended_ns - max(query.began_ns, until))
            until = max(until, query.ended_ns)
        return total / 1e6

    @property
    def duplicates(self) -> int:
        """Queries that had been asked before, with the same parameters."""
        return _surplus((query.sql, repr(query.params)) for query in self._statements())

    @property
    def similar(self) -> int:
        """Queries whose SQL had been run before, with whatever parameters."""
        return _surplus(query.sql for query in self._statements())

    def in_loops(self) -> list[Repeated]:
        """Statements that one line has made ``repeats_min`` times or more often."""
        return [
            repeated
            for repeated in self._repeated.values()
            if repeated.count >= self.repeats_min
            and not repeated.sql.lstrip().upper().startswith(_CONTROL)
        ]

    def summary(self) -> str:
        text = f"{counted(self.count)} in {self.queries_ms:.1f} ms"
        same = self.duplicates
        if same:
            text += f", {same} duplicate{'s' if same > 1 else ''}"
        if self.similar > same:
            text += f", {self.similar - same} more with SQL that had run before"
        return text

    def _statements(self) -> Iterator[Query]:
        return (query for query in self.queries if not query.is_control)


def _surplus(items: Iterator[Any]) -> int:
    return sum(count - 1 for count in Counter(items).values())


def counted(count: int) -> str:
    return f"{count} quer{'y' if count == 1 else 'ies'}"


_current: ContextVar[Record | None] = ContextVar("quintette.db.watch.record", default=None)


def current() -> Record | None:
    """That of this context, unless it is over: a task may outlive its request."""
    record = _current.get()
    return None if record is None or record.over else record


def enter(record: Record) -> None:
    """For the rest of this context."""
    _current.set(record)


@contextmanager
def recorded(name: str = "", *, repeats_min: int = 5) -> Iterator[Record]:
    """Records what this code, and the tasks and threads that it starts, ask the databases::

    with recorded() as record:
        ...
    assert record.count == 2
    """
    from quintette.db.watch import seeing

    record = Record(name, repeats_min=repeats_min)
    token = _current.set(record)
    seeing.hold()
    try:
        yield record
    finally:
        seeing.release()
        _current.reset(token)
        record.end()
