"""One variant of a compiled query: its SQL, and the way from its rows to the result."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

import msgspec
from asgiref.sync import sync_to_async
from django.core.exceptions import EmptyResultSet
from django.db import connections

from quintette import _quintette, concurrency
from quintette.concurrency import engines as waiting_engines
from quintette.concurrency import patches
from quintette.db import makers
from quintette.db.compiled import columns, driver, engines, pgtypes, selection, sql, tracing
from quintette.db.compiled.errors import CompileError, OutOfBoundsError, ParameterError
from quintette.db.compiled.nodes import Cell, Node, Object, steps_of
from quintette.db.compiled.placeholders import Trace
from quintette.db.compiled.rewrite import rewrite
from quintette.db.compiled.uses import native
from quintette.db.shapes.beside import Apart, Beside, check_text
from quintette.db.shapes.compiling import ShapeNode
from quintette.db.shapes.reading import NotInC, Relations, fetched

# Shared with binding/query/query.h.
_MODES: Final = {
    tracing.LIST: 0, tracing.ONE: 1, tracing.FIRST: 2, tracing.COUNT: 2, tracing.AGGREGATE: 2,
    tracing.EXISTS: 3,
}  # fmt: skip
_CONSTANTS: Final = (int, float, str, bytes, type(None))


_again: set[asyncio.Task[Any]] = set()  # that a loop refers to weakly


def _hand_on(task: asyncio.Task[Any], wait: _quintette.Wait) -> None:
    if task.cancelled():
        wait.fail(asyncio.CancelledError())
        return
    error = task.exception()
    if error is None:
        wait.finish(task.result())
    else:
        wait.fail(error)


class Statement:
    """Built once per variant, read only afterwards."""

    def __init__(self, result: tracing.Result, trace: Trace, shape: Any) -> None:
        self.mode = result.mode
        self.function: Any = None  # that was compiled
        self.shape = shape
        self.queryset: Any = None
        self.node: Node
        self.children: tuple[ChildStatement, ...] = ()
        """Of the to-many fields: they run with this one. None: the rows' keys are asked for."""
        self.apart = ""
        """Why there are none, where the shape has to-many fields."""
        asked: Sequence[Beside] = ()
        if result.queryset is not None:
            asked = self._of_rows(result.queryset, shape)
        else:
            self.compiler = result.compiler
        self._assemble(trace)
        if asked:
            try:
                self._add_children(asked, trace)
            except Apart as why:
                self.apart = str(why)

    def _assemble(self, trace: Trace) -> None:
        self.alias: str = self.compiler.using
        self.connection_vendor: str = self.compiler.connection.vendor
        if self.connection_vendor not in ("postgresql", "sqlite"):
            raise CompileError(f"queries are not compiled for {self.connection_vendor}")
        found = rewrite(self.compiler.query, trace, self.compiler.connection)
        self.by_timezone = found.by_timezone
        self.is_empty = False
        self.sql = sql.SQL((), ())
        self.outputs: tuple[columns.Output, ...] = ()
        try:
            text, params = self.compiler.as_sql()
        except EmptyResultSet:
            self.is_empty = True
            self.compiler.setup_query()
        else:
            self.sql = sql.assemble(text, params, trace, self.compiler.connection)
        self._maker: makers.Maker | None = None
        self._describe()
        self.in_c: _quintette.Statement | None = None
        """Makes the results on Django's connection too; None: only Python can, or there are to-many
        fields."""
        self._rows_in_c: _quintette.Statement | None = None
        """Makes the JSON of rows that are there."""
        self._relations: Relations | None = None
        self._named = ""

    def compiled(self) -> _quintette.Statement:
        """The same for C."""
        is_postgresql = self.connection_vendor == "postgresql"
        slots = tuple(slot.described() for slot in self.sql.slots)
        in_python = self.is_empty or any(
            slot.is_constant and not isinstance(slot.value, _CONSTANTS) for slot in self.sql.slots
        )
        described = [output.column for output in self.outputs]
        more = self._selects_more()
        encodes = not more and all(column.value != columns.PYTHON for column in described)
        in_python = in_python or more
        in_python = in_python or (is_postgresql and self._in_other_zone())
        children = tuple(child.compiled() for child in self.children)
        if any(child.in_python for child in children):
            children = ()
            self.apart = "a value of another query must go through Python"
        in_python = in_python or (self.node.asks and not children)
        statement = _quintette.Statement(
            self,
            self.alias,
            is_postgresql,
            in_python,
            _MODES[self.mode],
            self.sql.text("${}" if is_postgresql else "?{}").encode(),
            slots,
            tuple(tuple(column) for column in described),
            steps_of(self.node) if encodes else None,
            children,
            pgtypes.text_types(self.alias),
        )
        self._named = self.sql.named()
        if encodes and not self.is_empty and self.mode != tracing.EXISTS:
            self._rows_in_c = statement
        self.in_c = statement if encodes and not in_python and not self.node.asks else None
        return statement

    def _selects_more(self) -> bool:
        """DISTINCT selects the terms of its order too, which are no part of a row."""
        return bool(getattr(self.compiler, "has_extra_select", False))

    def _in_other_zone(self) -> bool:
        """C takes moments in UTC."""
        connection = self.compiler.connection
        return connection.timezone_name != "UTC" and any(
            output.expression is not None
            and getattr(output.expression, "output_field", None) is not None
            and output.expression.output_field.get_internal_type() == "DateTimeField"
            for output in self.outputs
        )

    # --- building -----------------------------------------------------------------------

    def _add_children(self, asked: Sequence[Beside], trace: Trace) -> None:
        """Raises Apart; then there are none."""
        if not self.is_empty:
            check_text(self.sql.text("?{}"))
            self.children = tuple(ChildStatement(one, trace) for one in asked)
            self.by_timezone |= any(child.by_timezone for child in self.children)

    def _of_rows(self, queryset: Any, shape: Any) -> Sequence[Beside]:
        """Gives the queries of to-many fields."""
        asked: Sequence[Beside] = ()
        if queryset.query.select_for_update:
            raise CompileError("select_for_update() belongs into a transaction: use the ORM there")
        if queryset._prefetch_related_lookups:
            raise CompileError("prefetch_related() is not compiled: use a shape with a list")
        if shape is not None:
            queryset, self.node, asked, self.apart = selection.shaped(queryset, shape)
        elif self.mode in (tracing.ONE, tracing.FIRST) and not queryset.query.is_sliced:
            queryset = queryset._chain()
            queryset.query.set_limits(high=2 if self.mode == tracing.ONE else 1)
        self.queryset = queryset
        self.compiler = queryset.query.get_compiler(using=queryset.db)
        return asked

    def _describe(self) -> None:
        query = self.compiler.query
        if self.mode == tracing.EXISTS:
            self.node = Cell(0)
            self.outputs = (columns.Output(columns.Column(columns.BOOL), (bool,), None, ""),)
            return
        if self.mode in (tracing.COUNT, tracing.AGGREGATE):
            annotations = query.annotation_select
            self.outputs = columns.outputs_of(self.compiler, list(annotations.values()))
            names = list(annotations)
            cells = [Cell(index) for index in range(len(names))]
            self.node = (
                Cell(0)
                if self.mode == tracing.COUNT
                else Object(list(zip(names, cells, strict=True)))
            )
            return
        selected = [column[0] for column in self.compiler.select[: self.compiler.col_count]]
        if any(hasattr(expression, "get_cols") for expression in selected):
            raise CompileError("a composite primary key is not compiled")
        self.outputs = columns.outputs_of(self.compiler, selected)
        if self.shape is None:
            self.node = selection.node_of(self.queryset, self.compiler)
            if not self.queryset._known_related_objects:
                self._maker = makers.maker_of(self.queryset, self.compiler, self.alias)

    # --- running on Django's connection ---------------------------------------------------

    def bind(self, arguments: Sequence[Any], connection: Any) -> list[Any]:
        """Raises ParameterError."""
        try:
            return [slot.bind(arguments, connection) for slot in self.sql.slots]
        except OutOfBoundsError as error:
            raise self._refused(error) from None

    def _refused(self, error: OutOfBoundsError) -> ParameterError:
        names = list(inspect.signature(self.function).parameters)
        return ParameterError([names[index] for index in error.arguments], str(error))

    def run(self, arguments: Sequence[Any], as_json: bool) -> Any:
        if self.is_empty:
            rows = self._rows_of_nothing()
            return self.json(rows) if as_json else self.objects(rows)
        connection = connections[self.alias]
        named = self.named_values(arguments)
        if self.in_c is not None and self.connection_vendor == "postgresql":
            result = self._run_in_c(self.in_c, connection, named, as_json)
        elif as_json and self._rows_in_c is not None:
            result = self._json_in_c(self._rows_in_c, connection, named)
        else:
            result = NotImplemented
        if result is not NotImplemented:
            return result
        with connection.cursor() as cursor:
            cursor.execute(self._named, named)
            rows = cursor.fetchall()
        if self._selects_more():
            rows = [row[: self.compiler.col_count] for row in rows]
        return self.json(rows) if as_json else self.objects(rows)

    def _json_in_c(
        self, statement: _quintette.Statement, connection: Any, values: dict[str, Any]
    ) -> Any:
        """Of rows that are there, so that to-many fields are asked for by their keys.
        NotImplemented: C cannot make it; the statement only reads, so it may run once more."""
        try:
            rows = fetched(statement, connection, self._named, values)
            if self._relations is None:
                self._relations = Relations(self.alias)
            return rows.json(self._relations.of_rows(self.node.plan, rows))
        except NotInC:
            return NotImplemented

    def named_values(self, arguments: Sequence[Any]) -> dict[str, Any]:
        """For the SQL's named() text."""
        values = self.bind(arguments, connections[self.alias])
        return {f"p{number}": value for number, value in enumerate(values, 1)}

    def _run_in_c(
        self, statement: _quintette.Statement, connection: Any, values: Any, as_json: bool
    ) -> Any:
        """NotImplemented: C cannot make the result here."""
        with connection.cursor() as cursor:
            if not driver.ask_for_binary(cursor):
                return NotImplemented
            cursor.execute(self._named, values)
            result = driver.result_of(statement, cursor, as_json)
        if result is NotImplemented:  # nor anywhere else; the statement only reads, so once more
            self.in_c = None
        return result

    def _rows_of_nothing(self) -> Sequence[Any]:
        if self.mode not in (tracing.COUNT, tracing.AGGREGATE):
            return []
        values = (
            expression.empty_result_set_value
            for expression in self.compiler.query.annotation_select.values()
        )
        return [tuple(values)]

    # --- from rows to results -------------------------------------------------------------

    def objects(self, rows: Sequence[Any]) -> Any:
        """What awaiting the call gives."""
        if self.mode == tracing.EXISTS:
            return bool(rows)
        if self.shape is None and self.queryset is not None:
            items = self._instances(rows)
        else:
            items = self._built(rows)
        return items if self.mode == tracing.LIST else self._single(items)

    def _instances(self, rows: Sequence[Any]) -> list[Any]:
        if self._maker is not None and self._maker.is_usable():
            values = columns.converted(rows, self.outputs, connections[self.alias])
            return self._maker.make_all(values)
        return selection.objects_of(self.queryset, self.compiler, rows, self.alias)

    def json(self, rows: Sequence[Any]) -> bytes:
        """The same as JSON."""
        if self.mode == tracing.EXISTS:
            return msgspec.json.encode(bool(rows))
        items = self._built(rows)
        return msgspec.json.encode(items if self.mode == tracing.LIST else self._single(items))

    def result_of_tree(self, results: Sequence[Sequence[Any]], as_json: bool) -> Any:
        """Called by C. results: the driver's rows of the children's statements and of this one,
        each behind those of its own children."""
        items: Any = self._joined(iter(results))[1]
        items = items if self.mode == tracing.LIST else self._single(items)
        return msgspec.json.encode(items) if as_json else items

    def _joined(self, results: Iterator[Sequence[Any]]) -> tuple[Sequence[Any], list[Any]]:
        """The rows, and what each becomes."""
        children = [child.by_parent(results) for child in self.children]
        rows = columns.converted(next(results), self.outputs, connections[self.alias])
        return rows, [self.node.build(row, children) for row in rows]

    def _built(self, rows: Sequence[Any]) -> list[Any]:
        connection = connections[self.alias]
        values = columns.converted(rows, self.outputs, connection)
        return self.node.build_all(values, self.alias)

    def _single(self, items: list[Any]) -> Any:
        if self.mode != tracing.ONE:
            return items[0] if items else None
        if len(items) != 1:
            self.raise_not_one(len(items))
        return items[0]

    # --- called by C ------------------------------------------------------------------------

    def bind_slot(self, index: int, arguments: Sequence[Any]) -> Any:
        """Raises ParameterError."""
        try:
            return native(self.sql.slots[index].bind(arguments, connections[self.alias]))
        except OutOfBoundsError as error:
            raise self._refused(error) from None

    def raise_not_one(self, rows: int) -> NoReturn:
        model = self.compiler.query.model
        name = model._meta.object_name
        if not rows:
            raise model.DoesNotExist(f"{name} matching query does not exist.")
        raise model.MultipleObjectsReturned(f"get() returned more than one {name}!")

    async def elsewhere(self, pending: _quintette.Pending[Any]) -> Any:
        """On Django's connection."""
        result = await self._on_djangos(self.run, pending.arguments, pending.as_json)
        return pending.outcome(result)

    async def _on_djangos(self, function: Callable[..., Any], *args: Any) -> Any:
        """In a greenlet, where the database's engine waits in one, or in a thread."""
        if waiting_engines.waits(self.alias) and not self.is_called_from_sync():
            return await concurrency.run(function, *args)
        return await sync_to_async(function)(*args)

    def is_called_from_sync(self) -> bool:
        """Then another thread has the connection, perhaps in a transaction."""
        return patches.is_called_from_sync()

    def storage(self) -> Any:
        return engines.storage()

    def open_pool(self, poller: Any) -> Any:
        return engines.open_pool(poller, self.alias)

    def open_file(self) -> Any:
        return engines.open_file(self.alias)

    def again(
        self, pending: _quintette.Pending[Any], oids: Sequence[int], wait: _quintette.Wait
    ) -> None:
        """Where columns are of types that only the driver knows. Ends the wait."""
        loop: Any = wait.get_loop()
        task: asyncio.Task[Any] = loop.create_task(self._learning(pending, oids))
        _again.add(task)
        task.add_done_callback(_again.discard)
        task.add_done_callback(lambda task: _hand_on(task, wait))
        wait.add_done_callback(lambda wait: wait.cancelled() and task.cancel())

    async def _learning(self, pending: _quintette.Pending[Any], oids: Sequence[int]) -> Any:
        if await self._on_djangos(pgtypes.learn, self.alias, oids):
            pending.statement.in_python = False
        return await self.elsewhere(pending)

    def failure(self, *what: Any) -> Exception:
        return engines.failure(*what)


class ChildStatement(Statement):
    """The children of one field, for all rows of another statement: their parent's key first."""

    def __init__(self, asked: Beside, trace: Trace) -> None:
        self.mode = tracing.LIST
        self.shape = asked
        self.queryset = asked.rows
        self.node = ShapeNode(asked.plan, first=1)
        self.compiler = self.queryset.query.get_compiler(using=self.queryset.db)
        self.children = ()
        self.apart = ""
        self._assemble(trace)
        if self.is_empty:
            raise Apart("there can be no rows")
        self._add_children(asked.children, trace)

    def by_parent(self, results: Iterator[Sequence[Any]]) -> dict[Any, list[Any]]:
        found: dict[Any, list[Any]] = {}
        for row, item in zip(*self._joined(results), strict=True):
            found.setdefault(row[0], []).append(item)
        return found
