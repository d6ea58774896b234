"""Rows of a plan's queries, and the objects made of them. Synchronous: whoever calls decides where
it waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.db import connections
from django.db.models import F, Lookup, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.db.models.lookups import GreaterThan, LessThanOrEqual

from quintette.db.shapes.errors import refuse
from quintette.db.shapes.plan import Children, Many, Related, Row, RowPlan

Ask = Callable[[Related, Sequence[Any], str], list[Row]]

KEY = "q5_key"
"""The annotation by which children know their parent."""

PARAMETERS_LEFT = 100
"""Of what a database takes in one query, for the conditions beside the keys."""
KEYS_MAX = 30_000
"""Keys in one query where the database knows no bound; PostgreSQL's protocol takes 65,535."""


def prepared(plan: RowPlan, queryset: QuerySet[Any]) -> QuerySet[Any]:
    """The query set as the plan reads it, still of instances: annotated and ordered."""
    expressions = {term.name: term.expr for term in plan.terms if term.expr is not None}
    if plan.aggregates:
        queryset = _keep_default_order(queryset)
    if expressions:
        queryset = queryset.annotate(**expressions)
    for shape, name, annotation in plan.annotated:
        if annotation not in queryset.query.annotations:
            refuse(shape, name, f"the query set has no annotation {annotation!r}")
    return queryset


def columns(
    plan: RowPlan, queryset: QuerySet[Any], more: Sequence[str] = (), before: Sequence[str] = ()
) -> QuerySet[Any, tuple[Any, ...]]:
    """Its rows as tuples: `before`, the plan's columns, then `more`."""
    names = [*before, *(term.name for term in plan.terms), *more]
    if queryset.query.distinct and not queryset.query.distinct_fields and "pk" not in names:
        # Rows that differ where the shape does not look are as different as the instances are.
        names.append("pk")
    return queryset.values_list(*names)


def _keep_default_order(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """Django leaves Meta.ordering out of a query with GROUP BY, which an aggregate in a shape makes
    of any."""
    query = queryset.query
    ordering = queryset.model._meta.ordering
    if query.order_by or query.extra_order_by or not query.default_ordering or not ordering:
        return queryset
    queryset = queryset.all()
    queryset.query.add_ordering(*ordering)  # a slice takes no order_by(), but it had this order
    return queryset


def asked(query: Related, keys: Sequence[Any], using: str) -> list[Row]:
    """The rows of a to-many field: the columns of its plan, then the parent's key."""
    return list(columns(query.plan, related(query, keys, using), [KEY]))


def objects(plan: RowPlan, rows: Sequence[Row], using: str, ask: Ask = asked) -> list[Any]:
    """The rows' objects, with their to-many fields: a query for each, whatever the rows' number."""
    children = [_children(one, rows, using, ask) for one in plan.many]
    build = plan.build
    return [build(row, children) for row in rows]


def batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while batch := list(islice(rows, size)):
        yield batch


# --- to-many ----------------------------------------------------------------------------


def _children(many: Many, rows: Sequence[Row], using: str, ask: Ask) -> Children:
    column = many.column
    keys = list(dict.fromkeys(row[column] for row in rows))
    if None in keys:
        keys.remove(None)
    found: dict[Any, list[Any]] = {}
    convert = many.query.key_convert
    for batch in key_batches(keys, using):
        children = ask(many.query, batch, using)
        at = len(many.query.plan.terms)
        made = objects(many.query.plan, children, using, ask)
        for row, child in zip(children, made, strict=True):
            key = row[at] if convert is None else convert(row[at])
            found.setdefault(key, []).append(child)
    return found


def keys_max(using: str) -> int:
    """How many keys one query takes."""
    bound = connections[using].features.max_query_params
    return min(bound - PARAMETERS_LEFT, KEYS_MAX) if bound else KEYS_MAX


def key_batches(keys: list[Any], using: str) -> Iterator[list[Any]]:
    size = keys_max(using)
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def related(query: Related, keys: Any, using: str) -> QuerySet[Any]:
    """The related model's query set for these parents, with their key as an annotation. keys: what
    stands behind `__in`, or a condition.

    The key comes first: conditions of the hooks on the same relation then get joins of their own,
    as after a related manager's all().
    """
    queryset = query.model._default_manager.using(using).annotate(**{KEY: F(query.key)})
    queryset = query.restrict(queryset, using)
    for hook in query.hooks:
        queryset = hook(queryset)
    condition = Q(keys) if isinstance(keys, Lookup) else Q(**{f"{KEY}__in": keys})
    if queryset.query.is_sliced:
        queryset = queryset.all()
        condition &= _slice_of_each(queryset, using)
    return prepared(query.plan, queryset.filter(condition))


def _slice_of_each(queryset: QuerySet[Any], using: str) -> Any:
    """A slice as a condition on the row's number among those of its parent; takes the slice off.
    As Django's Prefetch does it."""
    query = queryset.query
    low, high = query.low_mark, query.high_mark
    order = [expr for expr, _ in query.get_compiler(using=using).get_order_by()]
    number = Window(RowNumber(), partition_by=F(KEY), order_by=order or None)
    query.clear_limits()
    condition = Q(GreaterThan(number, low))
    if high is not None:
        condition &= Q(LessThanOrEqual(number, high))
    return condition
