"""Django's compilers for this database. The one of ordinary queries writes each statement once, and
reads rows without a cursor where it can."""

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.backends.postgresql.compiler import (
    SQLAggregateCompiler,
    SQLDeleteCompiler,
    SQLInsertCompiler,
    SQLUpdateCompiler,
)
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI, SINGLE

from quintette.db import statements
from quintette.db.postgresql import reading

__all__ = [
    "SQLAggregateCompiler",
    "SQLCompiler",
    "SQLDeleteCompiler",
    "SQLInsertCompiler",
    "SQLUpdateCompiler",
]


class SQLCompiler(statements.SQLCompiler):
    def execute_sql(
        self,
        result_type: Any = MULTI,
        chunked_fetch: bool = False,
        chunk_size: int = GET_ITERATOR_CHUNK_SIZE,
    ) -> Any:
        direct = not chunked_fetch and result_type in (MULTI, SINGLE)
        rows = self._read() if direct and reading.serves(self.connection) else None
        if rows is None:
            return super().execute_sql(result_type, chunked_fetch, chunk_size)
        if result_type == MULTI:
            return [rows]
        return rows[0][: self.col_count] if rows else None

    def _read(self) -> Any:
        """Rows, or None: Django's way."""
        try:
            written = self.as_sql()
        except EmptyResultSet:
            return None
        rows = None
        if self._statement is not None:
            rows = reading.rows(self.connection, self._statement, written[1])
        if rows is None:
            self._written = written
        return rows
