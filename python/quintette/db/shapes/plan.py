"""What a bound shape is: the columns of one query, the tree that a row becomes, and the further
queries that fill its to-many fields. Read-only once made, but for what is kept in `layouts`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Model, QuerySet

Row = Sequence[Any]
Hook = Callable[[Any], QuerySet[Any]]
Children = Mapping[Any, list[Any]]
"""Of one to-many field: the parent's key -> its children, in their order."""

COLUMNS_MAX = 1600
"""Columns of one query: PostgreSQL's bound on a table, a little less than that on a result."""
QUERIES_MAX = 64
"""Queries of one selection: more is a recursion that nobody meant."""


class Term(NamedTuple):
    """A column of the query: a path as values_list() takes it, or an annotation to add."""

    name: str
    expr: Any = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A column's value."""

    column: int
    convert: Callable[[Any], Any] | None
    """From what Django's field gives; None: it is that."""
    optional: bool
    field: Any
    """The model's field or the expression's output field; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """The end of a bounded recursion."""

    make: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Object:
    shape: Any
    null_column: int | None
    """The key of a to-one relation; None where there is always one."""
    members: tuple[tuple[str, Any], ...]
    """Fields of the struct, in its order, without those that keep their default."""


@dataclass(frozen=True, slots=True)
class Many:
    """Rows of another query whose key is this row's."""

    slot: int
    column: int
    container: Any
    """list or its kin; None: the only one, or None."""
    query: Related


@dataclass(frozen=True, slots=True)
class Related:
    """The other query: one for all rows."""

    model: type[Model]
    key: str
    """The path from the related model to the parent's key."""
    hooks: tuple[Hook, ...]
    plan: RowPlan
    restrict: Callable[[Any, str], Any] = lambda queryset, using: queryset
    """What the relation asks for beside the key; given the alias of the database."""
    key_field: Any = None
    """Of the parent's key."""
    key_convert: Callable[[Any], Any] | None = None
    """From the related query's key to the parent's, where their types differ."""


Node = Cell | Fixed | Object | Many


@dataclass(slots=True)
class RowPlan:
    model: type[Model]
    hook: Hook | None = None
    """The shape's own ``queryset``."""
    terms: list[Term] = field(default_factory=list)
    root: Node = Fixed(lambda: None)
    many: list[Many] = field(default_factory=list)
    annotated: list[tuple[Any, str, str]] = field(default_factory=list)
    """(shape, field, annotation that the query set must bring)."""
    aggregates: bool = False
    build: Callable[[Row, Sequence[Children]], Any] = lambda row, children: None
    layouts: dict[Any, Any] = field(default_factory=dict)
    """What C is told of its columns; see quintette.db.shapes.reading."""

    @property
    def queries(self) -> int:
        return 1 + sum(one.query.plan.queries for one in self.many)
