"""Shapes as results of compiled queries: their columns and their tree in the words of
quintette.db.compiled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.db.models import QuerySet

from quintette.db.compiled import nodes
from quintette.db.compiled.errors import CompileError
from quintette.db.shapes import beside, binding, fetch, fieldtypes, selection
from quintette.db.shapes.plan import Children, Related, Row, RowPlan
from quintette.db.shapes.tree import tree_of


class ShapeNode(nodes.Node):
    """A row as an object of a shape. first: where the plan's columns begin in it."""

    def __init__(self, plan: RowPlan, first: int = 0) -> None:
        self._plan = plan
        self._first = first
        self.plan = None if first else plan
        tree = tree_of(plan.root, first)
        self.in_c = tree is not None
        """Whether the steps say everything. Not: what Python makes of a column or of many rows,
        computed fields and those that keep a default."""
        self.asks = bool(plan.many)
        self._tree = tree
        self._ask = _CompiledRelations()

    def steps(self, name: str) -> Iterator[nodes.Step]:
        assert self._tree is not None
        return self._tree.steps(name)

    def build(self, row: Sequence[Any], children: Sequence[Children]) -> Any:
        return self._plan.build(row[self._first :], children)

    def build_all(self, rows: Sequence[Sequence[Any]], alias: str) -> list[Any]:
        return fetch.objects(self._plan, rows, alias, self._ask)


class _CompiledRelations:
    """Asks for to-many rows by queries that are compiled too, with the parents' keys as their
    parameter: once for each relation, or twice if two threads are the first. Where that cannot be,
    as fetch does."""

    def __init__(self) -> None:
        self._queries: dict[tuple[int, str], Any] = {}

    def __call__(self, query: Related, keys: Sequence[Any], using: str) -> list[Row]:
        key = (id(query), using)  # the plan lives as long as the shape
        if key not in self._queries:
            self._queries[key] = _compiled_relation(query, using)
        compiled = self._queries[key]
        if compiled is not None:
            try:
                return list(compiled(list(keys)).get())
            except CompileError:
                self._queries[key] = None
        return fetch.asked(query, keys, using)


def _compiled_relation(query: Related, using: str) -> Any:
    """None: the keys are of a type that is no parameter's."""
    from quintette.db.compiled.query import CompiledQuery

    known = None if query.key_field is None else fieldtypes.python_types(query.key_field)
    if known is None:
        return None

    def children(keys: Any) -> Any:
        return fetch.columns(query.plan, fetch.related(query, keys, using), [fetch.KEY])

    children.__annotations__ = {"keys": list[known[0]]}  # type: ignore[valid-type]
    return CompiledQuery(children)


class Laid(NamedTuple):
    """What a shape asks of a query set."""

    queryset: Any
    """Selects the shape's columns."""
    node: ShapeNode
    children: tuple[beside.Beside, ...]
    """The queries of its to-many fields."""
    apart: str
    """Why these must be asked for by keys instead, or ""."""


def laid_out(queryset: QuerySet[Any], shape: Any) -> Laid:
    """Raises ShapeError."""
    plan = binding.bound(shape)
    prepared = fetch.prepared(plan, selection.select(shape, queryset).queryset)
    children: tuple[beside.Beside, ...] = ()
    apart = ""
    if plan.many:
        try:
            total = beside.ordered(prepared)
            children = beside.beside(plan, total)
            prepared = total
        except beside.Apart as why:
            apart = str(why)
    return Laid(fetch.columns(plan, prepared), ShapeNode(plan), children, apart)
