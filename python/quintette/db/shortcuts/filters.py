"""``filter()`` and ``get()``: conditions that compare a column with a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model
from django.db.models.sql.query import Query
from django.db.models.sql.where import AND, WhereNode

from quintette.db.shortcuts.columns import Column, column_of
from quintette.db.shortcuts.parts import JOINING, Parts
from quintette.db.statements import SCALARS
from quintette.server.own import own_method

# What Django would call for a condition, besides what the short way calls itself.
_PARTS = (
    *JOINING,
    "_add_q",
    "_get_col",
    "build_filter",
    "check_filterable",
    "demote_joins",
    "promote_joins",
    "resolve_lookup_value",
    "solve_lookup_type",
)
# Values that Django takes as they are.
_SCALARS = SCALARS | {bool}
_LISTS = frozenset({list, tuple})
# Its conditions say nothing about whether there is a row on the other side of a join.
_IS_NULL = "isnull"

_Conditions = list[tuple[Column, Any]]


def install() -> None:
    add_q = own_method(Query, "add_q")
    parts = Parts(_PARTS)
    if add_q is not None and parts.are_known:
        Query.add_q = _short(add_q, parts)  # type: ignore[method-assign]


def _short(djangos: Callable[..., None], parts: Parts) -> Callable[..., None]:
    def add_q(self: Any, q_object: Any, reuse_all: bool = False) -> None:
        conditions = None
        if not reuse_all and not q_object.negated and q_object.connector == AND:
            conditions = _conditions(self, q_object.children)
        if not conditions or not parts.are_those_of(type(self)):
            djangos(self, q_object, reuse_all)
            return
        lookups = [_condition(self, column, value) for column, value in conditions]
        self.where.add(WhereNode(lookups, AND), AND)

    return add_q


def _conditions(query: Any, children: list[Any]) -> _Conditions | None:
    """None: one of them is not as simple."""
    model = query.model
    if model is None or query.annotations or query._filtered_relations:
        return None
    conditions = []
    for child in children:
        if type(child) is not tuple or len(child) != 2:
            return None
        name, value = child
        column = column_of(model, name) if type(name) is str else None
        if column is None or _IS_NULL in column.lookups or not _is_plain(column, value):
            return None
        conditions.append((column, value))
    return conditions


def _is_plain(column: Column, value: Any) -> bool:
    """No expression, and nothing that can be read only once."""
    cls = type(value)
    if cls in _SCALARS:
        return True
    if cls in _LISTS:
        return _SCALARS.issuperset(map(type, value))
    return (
        column.related is not None
        and isinstance(value, Model)
        and not hasattr(value, "resolve_expression")
    )


def _condition(query: Any, column: Column, value: Any) -> Any:
    """As build_filter() makes it."""
    alias = query.get_initial_alias()
    joins = [alias]
    field = column.field
    if column.join is not None:
        query.check_related_objects(field, value, column.related)
    col = field.get_col(alias if query.alias_cols else None, field)
    # A list is the caller's, who may change it.
    condition = query.build_lookup(
        list(column.lookups), col, value[:] if type(value) in _LISTS else value
    )
    # What a field prepares may be None, of an object without that key, say.
    is_null = condition.lookup_name == _IS_NULL and condition.rhs is True
    if column.join is not None:
        joins.append(column.leave_join(query, alias, inner=not is_null))
    query._lookup_joins = joins
    query.used_aliases.add(alias)
    return condition
