"""Rows of shapes to JSON in C, on Django's connection: those of one query, and those of its to-many
fields, on every level, by the keys of rows that are there. No object is made of a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import F, Lookup, QuerySet

from quintette import _quintette
from quintette.db.compiled import columns, driver
from quintette.db.compiled.nodes import CELL
from quintette.db.compiled.pgtypes import text_types
from quintette.db.shapes import fetch
from quintette.db.shapes.beside import why_no_plain_key
from quintette.db.shapes.plan import Many, Related, RowPlan
from quintette.db.shapes.tree import tree_of

LAYOUTS_MAX = 16
"""Kept with a plan: for each database, and for each set of types that its columns have there."""

_LIST_MODE: Final = 0
_KEYS: Final = object()
"""Stands among the parameters for the keys, until these are known."""

Children = tuple[_quintette.Children, ...]

_encoder = msgspec.json.Encoder()


class NotInC(Exception):  # noqa: N818  (an answer, not an error)
    """Only Python can make the values."""


class _Among(Lookup):
    """Is the value one of the keys? They are one parameter: PostgreSQL's array or JSON's, as
    _quintette.Rows writes it."""

    lookup_name = "q5_among"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        lhs, params = self.process_lhs(compiler, connection)
        if connection.vendor == "postgresql":
            return f"{lhs} = ANY(%s)", [*params, self.rhs]
        return f"{lhs} IN (SELECT value FROM json_each(%s))", [*params, self.rhs]


def _layout(
    plan: RowPlan, first: int, outputs: Sequence[columns.Output], connection: Any
) -> _quintette.Statement:
    """What C is told of rows with these columns. Raises NotInC."""
    described = tuple(tuple(output.column) for output in outputs)
    key = connection.alias, first, described
    layout: _quintette.Statement | None = plan.layouts.get(key)
    if layout is not None:
        return layout
    tree = tree_of(plan.root, first)
    if tree is None:
        raise NotInC
    steps = tuple(tree.steps(""))
    if any(step[0] == CELL and described[step[2]][0] == columns.PYTHON for step in steps):
        raise NotInC
    is_postgresql = connection.vendor == "postgresql"
    layout = _quintette.Statement(
        None,
        connection.alias,
        is_postgresql,
        False,
        _LIST_MODE,
        b"",
        (),
        described,
        steps,
        (),
        text_types(connection.alias),
    )
    if len(plan.layouts) >= LAYOUTS_MAX:
        plan.layouts.clear()
    plan.layouts[key] = layout
    return layout


def is_known(connection: Any) -> bool:
    """Whether C can take rows from this database's driver."""
    if connection.vendor == "postgresql":
        from django.db.backends.postgresql.psycopg_any import is_psycopg3

        return bool(is_psycopg3) and driver.pg_results() is not None
    return bool(connection.vendor == "sqlite")


def fetched(
    layout: _quintette.Statement, connection: Any, sql: str, params: Any
) -> _quintette.Rows:
    """Runs a query. Raises NotInC."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(sql, params)
            return _quintette.Rows(layout, cursor.fetchall())
        if not driver.ask_for_binary(cursor):
            raise NotInC
        cursor.execute(sql, params)
        return _readable(driver.rows_of(layout, cursor))


class Reading:
    """A query whose rows C reads. Raises NotInC."""

    def __init__(self, plan: RowPlan, queryset: QuerySet[Any, Any], first: int = 0) -> None:
        """queryset: gives the plan's columns as tuples, from `first` on."""
        self.plan = plan
        self.using = queryset.db
        connection: Any = connections[self.using]
        if tree_of(plan.root, first) is None or not is_known(connection):
            raise NotInC
        compiler: Any = queryset.query.get_compiler(using=self.using)
        self.is_empty = False
        """There can be no rows."""
        try:
            self._sql, self._params = compiler.as_sql()
        except EmptyResultSet:
            self.is_empty = True
            return
        if compiler.has_extra_select:
            raise NotInC
        selected = [column[0] for column in compiler.select[: compiler.col_count]]
        self.outputs = columns.outputs_of(compiler, selected)
        self._layout = _layout(plan, first, self.outputs, connection)

    def rows(self, keys: str = "") -> _quintette.Rows:
        """Runs it. Raises NotInC."""
        params = tuple(keys if one is _KEYS else one for one in self._params)
        return fetched(self._layout, connections[self.using], self._sql, params)

    def chunks(self, size: int) -> Iterator[_quintette.Rows]:
        """Runs it; `size` rows at a time, which are all that is held. Raises NotInC, at the first
        one only."""
        connection: Any = connections[self.using]
        if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
            rows = self.rows()
            for first in range(0, len(rows), size):
                yield rows.part(first, first + size)
            return
        cursor = connection.chunked_cursor()
        try:
            cursor.execute(self._sql, self._params)
            while len(rows := self._fetched(cursor, size)):
                yield rows
        finally:
            cursor.close()

    def _fetched(self, cursor: Any, size: int) -> _quintette.Rows:
        if connections[self.using].vendor == "sqlite":
            return _quintette.Rows(self._layout, cursor.fetchmany(size))
        return _readable(driver.fetched(self._layout, cursor, size))

    def values(self, rows: _quintette.Rows) -> Sequence[Sequence[Any]]:
        """What Django gives for these rows."""
        return columns.converted(rows.all(), self.outputs, connections[self.using])


def _readable(rows: Any) -> _quintette.Rows:
    if rows is NotImplemented:
        raise NotInC
    found: _quintette.Rows = rows
    return found


class Relations:
    """The queries of to-many fields, on every level: each is built once, and run with the keys of
    the rows that are there."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._readings: dict[int, Reading] = {}  # by Many's id, which lives as long as the shape

    def of_rows(self, plan: RowPlan | None, rows: _quintette.Rows, first: int = 0) -> Children:
        """Of each to-many field, in the order of their slots. plan: of the rows, from their column
        `first` on. Raises NotInC."""
        many = plan.many if plan is not None else ()
        return tuple(self._children(one, rows, first + one.column) for one in many)

    def _children(self, many: Many, rows: _quintette.Rows, column: int) -> _quintette.Children:
        """The rows of a field for these parents, whose keys stand in that column."""
        reading = self._reading(many)
        keys = None if reading.is_empty else rows.keys(column)
        if keys is None:
            return _quintette.Children()
        if keys is NotImplemented:
            raise NotInC
        found = reading.rows(keys)
        made = found.children(self.of_rows(reading.plan, found, first=1))
        if made is NotImplemented:
            raise NotInC
        children: _quintette.Children = made
        return children

    def _reading(self, many: Many) -> Reading:
        reading = self._readings.get(id(many))
        if reading is None:
            if why_no_plain_key(many.query):
                raise NotInC
            reading = Reading(many.query.plan, _among_keys(many.query, self._using), first=1)
            self._readings[id(many)] = reading
        return reading


def _among_keys(query: Related, using: str) -> QuerySet[Any, Any]:
    children = fetch.related(query, _Among(F(fetch.KEY), _KEYS), using)
    return fetch.columns(query.plan, children, before=[fetch.KEY])


class Writer:
    """JSON of a selection's rows. Raises NotInC where C can make none of it; rows with a value that
    only Python can make go through Python, by themselves."""

    def __init__(self, plan: RowPlan, queryset: QuerySet[Any, Any]) -> None:
        """queryset: gives the plan's columns first."""
        self.reading = Reading(plan, queryset)
        self._relations = Relations(self.reading.using)

    def rows(self) -> _quintette.Rows | None:
        """None: there can be none."""
        return None if self.reading.is_empty else self.reading.rows()

    def chunks(self, size: int) -> Iterator[_quintette.Rows]:
        """Raises NotInC before it gives the first one."""
        if self.reading.is_empty:
            return iter(())
        chunks = self.reading.chunks(size)
        first = next(chunks, None)
        return iter(()) if first is None else _behind(first, chunks)

    def array(self, rows: _quintette.Rows | None) -> bytes:
        """A JSON array."""
        if rows is None:
            return b"[]"
        try:
            made: Any = rows.json(self._relations.of_rows(self.reading.plan, rows))
        except NotInC:
            made = NotImplemented
        return _encoder.encode(self._objects(rows)) if made is NotImplemented else bytes(made)

    def lines(self, rows: _quintette.Rows) -> bytes:
        """A line of JSON for each."""
        try:
            made: Any = rows.lines(self._relations.of_rows(self.reading.plan, rows))
        except NotInC:
            made = NotImplemented
        return _encoder.encode_lines(self._objects(rows)) if made is NotImplemented else bytes(made)

    def _objects(self, rows: _quintette.Rows) -> list[Any]:
        values = self.reading.values(rows)
        return fetch.objects(self.reading.plan, values, self.reading.using)


def _behind(first: _quintette.Rows, chunks: Iterator[_quintette.Rows]) -> Iterator[_quintette.Rows]:
    try:
        yield first
        yield from chunks
    finally:
        close: Any = getattr(chunks, "close", None)
        if close is not None:
            close()


def writer(plan: RowPlan, queryset: QuerySet[Any, Any]) -> Writer | None:
    """None: Python must make the objects."""
    try:
        return Writer(plan, queryset)
    except NotInC:
        return None
