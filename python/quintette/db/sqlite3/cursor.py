"""Cursors that run each statement where it should run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db.backends.sqlite3.base import SQLiteCursorWrapper

from quintette.concurrency import can_wait
from quintette.db.sqlite3.gate import Gate
from quintette.db.sqlite3.statements import Kind, Statements

# Rows that a read on the loop fetches at once; what is beyond them comes in steps of as many,
# through a thread. Most results are complete then, and keep no lock or snapshot.
ROWS_AT_ONCE = 1000

_statements = Statements()


class Cursor(SQLiteCursorWrapper):
    """`gate` is set by who makes it. Rows are in `_rows` (from `_at` on) where they were fetched
    beforehand, else with SQLite."""

    gate: Gate
    _rows: list[Any] | None = None
    _at = 0
    _more = False  # SQLite has further rows behind _rows

    def execute(self, query: str, params: Any = None) -> Cursor:
        if params is None:
            statement = _statements.get(query, str)
        elif isinstance(params, Mapping):
            names = list(params)
            statement = _statements.get(
                f"{','.join(names)}\0{query}",
                lambda _: self.convert_query(query, param_names=names),
            )
        else:
            statement = _statements.get(query, self.convert_query)
        sql, kind, lasting = statement
        self._rows = None
        if lasting:
            self.gate.suspect = True
        if kind is Kind.READ:
            if not can_wait():
                self.gate.be_patient()
                return self._step(sql, params)
            self.gate.read(sql, lambda: self._step_and_fetch(sql, params))
        elif kind is Kind.OTHER:
            self.gate.other(lambda: self._step(sql, params))
        else:
            self.gate.write(
                sql, lambda: self._step_and_finish(sql, params), long=kind is Kind.LONG_WRITE
            )
        return self

    def executemany(self, query: str, param_list: Iterable[Any]) -> Cursor:
        # The values may come from a generator: no second try could see them again.
        values = list(param_list)
        self._rows = None
        self.gate.write(query, lambda: super(Cursor, self).executemany(query, values))
        return self

    def executescript(self, sql_script: str) -> Cursor:
        self._rows = None
        self.gate.suspect = True
        self.gate.script(lambda: super(Cursor, self).executescript(sql_script))
        return self

    def _step(self, sql: str, params: Any) -> Cursor:
        if params is None:
            sqlite3.Cursor.execute(self, sql)
        else:
            sqlite3.Cursor.execute(self, sql, params)
        return self

    def _step_and_fetch(self, sql: str, params: Any) -> None:
        self._step(sql, params)
        rows = sqlite3.Cursor.fetchmany(self, ROWS_AT_ONCE)
        self._at = 0
        self._more = len(rows) == ROWS_AT_ONCE
        self._rows = rows

    def _step_and_finish(self, sql: str, params: Any) -> None:
        """What RETURNING returns is fetched: only then the statement has ended, and its lock."""
        self._step(sql, params)
        if self.description is not None:
            self._at = 0
            self._more = False
            self._rows = sqlite3.Cursor.fetchall(self)

    # --- rows -------------------------------------------------------------------------------------

    def _fetch_more(self, size: int) -> list[Any]:
        call: Callable[[], list[Any]] = lambda: sqlite3.Cursor.fetchmany(self, size)  # noqa: E731
        rows = self.gate.fetch(call) if can_wait() else call()
        self._more = len(rows) == size
        return rows

    def _take(self, size: int) -> list[Any]:
        """The next rows of those that were fetched, and of those behind them."""
        rows: list[Any] = self._rows or []
        taken = rows[self._at : self._at + size]
        self._at += len(taken)
        while self._more and len(taken) < size:
            self._rows = self._fetch_more(max(ROWS_AT_ONCE, size - len(taken)))
            self._at = size - len(taken)
            taken += self._rows[: self._at]
        return taken

    def fetchmany(self, size: int | None = None) -> list[Any]:
        size = self.arraysize if size is None else size
        if self._rows is None:
            return sqlite3.Cursor.fetchmany(self, size)
        return self._take(size)

    def fetchone(self) -> Any:
        if self._rows is None:
            return sqlite3.Cursor.fetchone(self)
        rows = self._take(1)
        return rows[0] if rows else None

    def fetchall(self) -> list[Any]:
        if self._rows is None:
            return sqlite3.Cursor.fetchall(self)
        rows = self._rows[self._at :]
        self._at = len(self._rows)
        while self._more:
            self._rows = self._fetch_more(ROWS_AT_ONCE)
            self._at = len(self._rows)
            rows += self._rows
        return rows

    def __next__(self) -> Any:
        if self._rows is None:
            return sqlite3.Cursor.__next__(self)
        rows = self._take(1)
        if not rows:
            raise StopIteration
        return rows[0]

    def close(self) -> None:
        self._rows = None
        super().close()
