"""``filter()`` and ``get()``: conditions that compare a column with a value."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django.db.models import Model
from django.db.models.sql.query import Query
from django.db.models.sql.where import AND, WhereNode

from quintette.db.shortcuts.columns import Column, column_of
from quintette.server.own import own_method

# What Django would call for a condition, or the short way does in its place.
_METHODS = (
    "_add_q",
    "build_filter",
    "build_lookup",
    "check_filterable",
    "check_related_objects",
    "demote_joins",
    "get_initial_alias",
    "join",
    "names_to_path",
    "resolve_lookup_value",
    "setup_joins",
    "solve_lookup_type",
    "table_alias",
    "trim_joins",
    "unref_alias",
)
# Values that Django takes as they are.
_SCALARS = frozenset(
    {
        bool,
        bytes,
        int,
        str,
        float,
        decimal.Decimal,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        uuid.UUID,
    }
)
_LISTS = frozenset({list, tuple})
# Its conditions say nothing about whether there is a row on the other side of a join.
_IS_NULL = "isnull"

_Conditions = list[tuple[Column, Any]]


def install() -> None:
    add_q = own_method(Query, "add_q")
    methods = [own_method(Query, name) for name in _METHODS]
    if add_q is not None and None not in methods:
        Query.add_q = _short(add_q, tuple(methods))  # type: ignore[method-assign]


def _short(djangos: Callable[..., None], methods: tuple[Any, ...]) -> Callable[..., None]:
    methods_of = attrgetter(*_METHODS)

    def add_q(self: Any, q_object: Any, reuse_all: bool = False) -> None:
        conditions = None
        if not reuse_all and not q_object.negated and q_object.connector == AND:
            conditions = _conditions(self, q_object.children)
        if not conditions or methods_of(type(self)) != methods:
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
        joins.append(column.leave_join(query, alias, inner=True))
        query.check_related_objects(field, value, column.related)
    query._lookup_joins = joins
    query.used_aliases.add(alias)
    col = field.get_col(alias if query.alias_cols else None, field)
    # A list is the caller's, who may change it.
    return query.build_lookup(
        list(column.lookups), col, value[:] if type(value) in _LISTS else value
    )
