"""To-many fields as queries beside the query of their parents: each asks for the children of all
rows that the parents' query gives, and so none has to wait for another's keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import F, Index, QuerySet, UniqueConstraint
from django.db.models.lookups import In

from quintette.db.shapes import fetch
from quintette.db.shapes.plan import Many, Related, RowPlan

# Keys of these types are equal where their values in the database's own format are.
_KEYS = frozenset({
    "AutoField", "BigAutoField", "SmallAutoField", "IntegerField", "BigIntegerField",
    "SmallIntegerField", "PositiveIntegerField", "PositiveBigIntegerField",
    "PositiveSmallIntegerField", "CharField", "SlugField", "TextField", "UUIDField",
})  # fmt: skip
# What gives other values when the same text runs again in one transaction.
_VOLATILE = re.compile(
    r"\b(RANDOM|RAND|CLOCK_TIMESTAMP|STATEMENT_TIMESTAMP|GEN_RANDOM_UUID|UUIDV4|UUIDV7|NEXTVAL)"
    r"\s*\(|'now'|\bCURRENT_(DATE|TIME|TIMESTAMP)\b",
    re.IGNORECASE,
)


class Apart(Exception):  # noqa: N818  (an answer, not an error)
    """The children must be asked for by their parents' keys, once these are known."""


class Beside(NamedTuple):
    """The children of one field."""

    rows: QuerySet[Any, tuple[Any, ...]]
    """The parent's key, then the columns of the plan."""
    plan: RowPlan
    children: tuple[Beside, ...]


def ordered(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """The query set whose slice is the same rows wherever it stands: of a slice, the primary key
    becomes the last term of an order that is not by one value of each row. Raises Apart."""
    query = queryset.query
    if query.combinator:
        raise Apart("the query is a union, intersection or difference")
    if not query.is_sliced:
        return queryset
    if query.distinct or query.extra_order_by:
        raise Apart("a slice of distinct() or of extra(order_by=)")
    model = queryset.model
    terms: Sequence[Any] = query.order_by
    if not terms and query.default_ordering:
        terms = model._meta.ordering
    if any(isinstance(term, str) and _tells_rows_apart(model, term) for term in terms):
        return queryset
    queryset = queryset.all()
    queryset.query.clear_ordering(force=True)
    queryset.query.add_ordering(*terms, "pk")
    return queryset


def _tells_rows_apart(model: Any, term: str) -> bool:
    name = term.lstrip("-+")
    return name == "pk" or any(
        name in (field.name, field.attname) and field.unique and not field.null
        for field in model._meta.concrete_fields
        if not field.is_relation
    )


def beside(plan: RowPlan, parents: QuerySet[Any]) -> tuple[Beside, ...]:
    """The queries of the to-many fields, for the rows of a query set that is prepared for the plan.
    Raises Apart."""
    if not plan.many:
        return ()
    _check(parents)
    return tuple(_children(plan, parents, many) for many in plan.many)


def check_text(parents: str) -> None:
    """Whether the SQL of a query with children gives the same rows within theirs. Raises Apart."""
    if _VOLATILE.search(parents):
        raise Apart("the rows depend on chance or on the time")


def why_no_plain_key(query: Related) -> str:
    """Why keys of parents and children cannot be compared as the database has them, or ""."""
    key = query.key_field
    if query.key_convert is not None or key is None:
        return "a generic relation"
    if key.get_internal_type() not in _KEYS or getattr(key, "db_collation", None):
        return f"the key is a {type(key).__name__}"
    return ""


def _check(parents: QuerySet[Any]) -> None:
    query = parents.query
    if query.distinct_fields:
        raise Apart("distinct() on fields")
    if query.where.contains_over_clause:
        raise Apart("rows are chosen by a window, such as a slice for each parent")


class _InArray(In):
    """Of a sliced query's values. PostgreSQL takes its LIMIT, a parameter, for a tenth of the
    table, and so reads all children for `IN`: 50 ms for those of 20 of 100,000 parents, and 0.2 ms
    by the index on their key, which it takes for an array of any length. Without that index each
    child would be compared with every key, where `IN` has a hash table."""

    lookup_name = "q5_in_array"

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        return f"= ANY(ARRAY{rhs})"


def _is_indexed(key: Any) -> bool:
    """Whether an index on the column of this expression begins with it."""
    field = getattr(key, "target", None)
    if field is None:
        return False
    if field.db_index or field.unique:
        return True
    meta = field.model._meta
    whole: list[Any] = [one for one in meta.indexes if type(one) is Index]
    whole += [one for one in meta.constraints if isinstance(one, UniqueConstraint)]
    lists = [one.fields for one in whole if one.condition is None]
    lists += meta.unique_together
    return any(names and names[0] == field.name for names in lists)


def _children(plan: RowPlan, parents: QuerySet[Any], many: Many) -> Beside:
    query = many.query
    why = why_no_plain_key(query)
    if why:
        raise Apart(why)
    using = parents.db
    keys: Any = parents.using(using).values(plan.terms[many.column].name)
    children = fetch.related(query, keys, using)
    by_array = parents.query.is_sliced and connections[using].vendor == "postgresql"
    if by_array and _is_indexed(children.query.annotations[fetch.KEY]):
        children = fetch.related(query, _InArray(F(fetch.KEY), keys.query), using)
    rows = fetch.columns(query.plan, children, before=[fetch.KEY])
    if children.query.where.contains_over_clause:
        raise Apart("a slice for each parent")
    return Beside(rows, query.plan, beside(query.plan, children))
