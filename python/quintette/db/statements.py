"""Django's SQL compiler, which writes the SQL of queries of one shape once.

Two querysets that differ in nothing but the values of their parameters have the same SQL. Writing
it takes Django as long as the database takes to answer; so it is kept, under a key that
``_quintette.StatementKeys`` makes of the query in a fraction of that time. The parameters go
through their lookups as ever. Queries with anything in them that is not known to be that simple
(expressions, annotations, ``extra()``, subqueries, a project's own lookups) are written anew.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from itertools import chain
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models import Field, lookups
from django.db.models.expressions import Col
from django.db.models.fields import related_lookups
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.db.models.sql import compiler
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI
from django.db.models.sql.datastructures import BaseTable, Join
from django.db.models.sql.query import Query
from django.db.models.sql.where import WhereNode

from quintette._quintette import StatementKeys

# Kept for each database; when it is full, all are forgotten.
STATEMENTS_MAX = 4096

# Types of parameters on which the SQL does not depend. True and False stand in it.
SCALARS = frozenset(
    {
        int,
        str,
        float,
        bytes,
        decimal.Decimal,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        uuid.UUID,
    }
)

keys = StatementKeys(
    query=Query,
    where=WhereNode,
    col=Col,
    base_table=BaseTable,
    join=Join,
    field=Field,
    relation=ForeignObjectRel,
    lookups=frozenset(
        {
            lookups.Exact,
            lookups.IExact,
            lookups.GreaterThan,
            lookups.GreaterThanOrEqual,
            lookups.LessThan,
            lookups.LessThanOrEqual,
            lookups.IntegerFieldExact,
            lookups.IntegerGreaterThan,
            lookups.IntegerGreaterThanOrEqual,
            lookups.IntegerLessThan,
            lookups.IntegerLessThanOrEqual,
            lookups.Contains,
            lookups.IContains,
            lookups.StartsWith,
            lookups.IStartsWith,
            lookups.EndsWith,
            lookups.IEndsWith,
            related_lookups.RelatedExact,
            related_lookups.RelatedLessThan,
            related_lookups.RelatedGreaterThan,
            related_lookups.RelatedGreaterThanOrEqual,
            related_lookups.RelatedLessThanOrEqual,
        }
    ),
    lists=frozenset({lookups.In, related_lookups.RelatedIn}),
    flags=frozenset({lookups.IsNull, related_lookups.RelatedIsNull}),
    scalars=SCALARS,
    # What the SQL does not depend on: caches, and marks of how the query was built.
    ignored=frozenset(
        {
            "_annotation_select_cache",
            "_extra_select_cache",
            "_lookup_joins",
            "filter_is_sticky",
            "used_aliases",
        }
    ),
)


class Statement(NamedTuple):
    """What the compiler knows once it has written the SQL."""

    sql: str
    parameter_counts: tuple[int, ...]
    """Of each lookup: an `in` has one placeholder for all that are equal."""
    select: Any
    klass_info: Any
    annotation_col_map: Any
    col_count: int
    meta_ordering: Any
    converts: bool
    """Rows go through converters."""
    flags_written: bool
    """True and False stand in the SQL, as Django 5.2 writes conditions on booleans; the key has
    them."""
    kept: list[Any]
    """What the key knows by its address."""
    parts: tuple[bytes, ...] | None
    """The text around the parameters; None: it has more in it than their places."""
    makers: dict[Any, Any]
    """Of model instances, by database and fetch mode; None: Django must make them."""


# By alias; None: the key says too little.
_statements: dict[str, dict[bytes, Statement | None]] = {}


# Its stubs leave some attributes out.
_Django: Any = compiler.SQLCompiler


class SQLCompiler(_Django):  # type: ignore[misc]
    """Of both engines."""

    _statement: Statement | None = None
    _written: Any = None  # what as_sql() is about to be asked for once more
    _known: tuple[Statement, list[Any]] | None = None  # what kept() has found

    def kept(self) -> Statement | None:
        """The query's statement if its SQL is kept. as_sql() comes next."""
        if not self.elide_empty or self.query.select_for_update:
            return None
        found: list[Any] = []
        key = keys(self.query, found)
        if key is None:
            return None
        statement = _statements.get(self.connection.alias, {}).get(key)
        if statement is not None:
            self._known = statement, found
        return statement

    def as_sql(self, with_limits: bool = True, with_col_aliases: bool = False) -> Any:
        if self._written is not None:
            written, self._written = self._written, None
            return written
        if self._known is not None:
            known, self._known = self._known, None
            return self._take(*known)
        self._statement = None
        if not with_limits or with_col_aliases or not self.elide_empty:
            return super().as_sql(with_limits, with_col_aliases)
        found: list[Any] = []
        key = keys(self.query, found)
        if key is None or self.query.select_for_update:
            return super().as_sql()
        statements = _statements.setdefault(self.connection.alias, {})
        try:
            statement = statements[key]
        except KeyError:
            return self._write(statements, key, found)
        return super().as_sql() if statement is None else self._take(statement, found)

    def _take(self, statement: Statement, found: list[Any]) -> Any:
        try:
            parameters, counts = self._parameters(
                _values(found) if statement.flags_written else found
            )
        except (EmptyResultSet, FullResultSet):  # of one condition; not of the whole, perhaps
            return super().as_sql()
        if counts != statement.parameter_counts:
            return super().as_sql()
        self._statement = statement
        if not self.query.alias_map:
            self._join_table()
        self.describe(statement)
        return statement.sql, parameters

    def describe(self, statement: Statement) -> None:
        """Takes over what Django's compiler knows of the columns."""
        self.select = statement.select
        self.klass_info = statement.klass_info
        self.annotation_col_map = statement.annotation_col_map
        self.col_count = statement.col_count
        self._meta_ordering = statement.meta_ordering
        self.has_extra_select = False

    def _join_table(self) -> None:
        """As Django's does: the query knows its table once its SQL is written."""
        query = self.query
        query.get_initial_alias()
        query.reset_refcounts({})

    def _write(self, statements: dict[bytes, Statement | None], key: bytes, found: Any) -> Any:
        # Before Django writes more into the query, which may leave it without a key.
        kept: list[Any] = []
        keys(self.query, [], kept)
        sql, parameters = super().as_sql()
        if len(statements) >= STATEMENTS_MAX:
            statements.clear()
        statements[key] = self._statement_of(sql, parameters, found, kept)
        return sql, parameters

    def _statement_of(
        self, sql: str, parameters: Any, found: list[Any], kept: list[Any]
    ) -> Statement | None:
        if self.has_extra_select:
            return None
        parameters = tuple(parameters)
        try:
            found_parameters, counts = self._parameters(found)
            flags_written = parameters != found_parameters
            if flags_written:
                found_parameters, counts = self._parameters(_values(found))
                if parameters != found_parameters:
                    return None
        except (EmptyResultSet, FullResultSet):
            return None
        expressions = [column[0] for column in self.select]
        converts = self.get_converters(expressions)
        return Statement(
            sql,
            counts,
            self.select,
            self.klass_info,
            self.annotation_col_map,
            self.col_count,
            self._meta_ordering,
            bool(converts) or self.has_composite_fields(expressions),
            flags_written,
            kept,
            _parts(sql),
            {},
        )

    def _parameters(self, found: list[Any]) -> tuple[tuple[Any, ...], tuple[int, ...]]:
        """Those of all lookups, and how many each has."""
        connection = self.connection
        parts = [lookup.process_rhs(self, connection)[1] for lookup in found]
        return tuple(chain.from_iterable(parts)), tuple(map(len, parts))

    def results_iter(
        self,
        results: Any = None,
        tuple_expected: bool = False,
        chunked_fetch: bool = False,
        chunk_size: int = GET_ITERATOR_CHUNK_SIZE,
    ) -> Any:
        if results is None:
            results = self.execute_sql(MULTI, chunked_fetch=chunked_fetch, chunk_size=chunk_size)
        if self._statement is None or self._statement.converts:
            return super().results_iter(results, tuple_expected, chunked_fetch, chunk_size)
        rows = chain.from_iterable(results)
        return map(tuple, rows) if tuple_expected else rows


def _parts(sql: str) -> tuple[bytes, ...] | None:
    """Between `%s`. `%%` stands for one percent sign, as the drivers have it."""
    texts = [text.split("%%") for text in sql.split("%s")]
    if any("%" in piece for pieces in texts for piece in pieces):
        return None
    return tuple("%".join(pieces).encode() for pieces in texts)


def _values(found: list[Any]) -> list[Any]:
    """Without the lookups of True and False."""
    return [lookup for lookup in found if not isinstance(lookup.rhs, bool)]


def forget() -> None:
    """For tests that change models or settings on which SQL depends."""
    _statements.clear()
