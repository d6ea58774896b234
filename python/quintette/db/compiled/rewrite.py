"""A query whose look-ups hold parameters, made ready for SQL that any value fits.

Django treats an expression on the right of a look-up differently from a value: no preparation by
the field, patterns by REPLACE(), years by EXTRACT(). Where the look-up is one of Django's own, the
parameter is put back as the value that it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q
from django.db.models.expressions import (
    Case,
    CombinedExpression,
    ExpressionList,
    ExpressionWrapper,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Greatest, Least, NullIf
from django.db.models.functions.datetime import TimezoneMixin
from django.db.models.lookups import (
    BuiltinLookup,
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    IExact,
    In,
    LessThan,
    LessThanOrEqual,
    Lookup,
    PatternLookup,
    Range,
    Regex,
    UUIDTextMixin,
    YearLookup,
)
from django.db.models.sql import Query

from quintette.db.compiled.errors import CompileError
from quintette.db.compiled.placeholders import BOUND_FIRST, BoundParam, Param, Slice, Sum, Trace
from quintette.db.compiled.uses import Use, list_use, lookup_use

_SINGLE = (
    Exact, IExact, GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual, PatternLookup, Regex,
)  # fmt: skip
# Modules whose subclasses of these prepare their value by get_db_prep_lookup().
_KNOWN = frozenset({"django.db.models.lookups", "django.db.models.fields.related_lookups"})
_NUMBERS = (
    CombinedExpression, Case, When, Coalesce, Greatest, Least, NullIf, ExpressionWrapper, Lookup,
    Value,
)  # fmt: skip
_NODES_MAX = 100_000


class _Placed:
    """Stands for a value on the right of a look-up."""

    def __init__(self, use: Use) -> None:
        self.use = use


class Found:
    """What the walk has come across."""

    def __init__(self) -> None:
        self.by_timezone = False  # the SQL has the current time zone in it


def rewrite(query: Query, trace: Trace, connection: Any) -> Found:
    """Changes the query in place; it must be the compilation's own."""
    found = Found()
    for query_part in _queries(query, found, connection):
        _bound(query_part, trace)
    return found


def _queries(root: Query, found: Found, connection: Any) -> Iterator[Query]:
    """The query and all those within it, their look-ups rewritten."""
    seen: set[int] = set()
    stack: list[Any] = [(root, None)]
    for _ in range(_NODES_MAX):
        if not stack:
            return
        node, parent = stack.pop()
        if node is None or isinstance(node, (str, int)) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Query):
            stack.extend((part, node) for part in _parts(node))
            yield node
            continue
        if isinstance(node, BoundParam):
            node.is_number = parent is None or isinstance(parent, (Query, *_NUMBERS))
        if isinstance(node, Value) and isinstance(node.value, Param):
            _unwrap(node)
        if isinstance(node, TimezoneMixin) and node.tzinfo is None:
            found.by_timezone = True
        if isinstance(node, Lookup):
            _place(node, connection)
        inner = getattr(node, "query", None)
        if isinstance(inner, Query):
            stack.append((inner, node))
        if isinstance(node, Q):
            stack.extend((child, node) for child in node.children)
        elif hasattr(node, "get_source_expressions"):
            stack.extend((child, node) for child in node.get_source_expressions())
    raise CompileError("the query is too large to be compiled")


def _parts(query: Query) -> Iterator[Any]:
    yield getattr(query, "inner_query", None)
    yield query.where
    yield from query.annotations.values()
    yield from query.select
    yield from query.order_by
    yield from query.combined_queries
    if isinstance(query.group_by, tuple):
        yield from query.group_by
    for join in query.alias_map.values():
        filtered = getattr(join, "filtered_relation", None)
        yield getattr(filtered, "resolved_condition", None)


def _unwrap(node: Any) -> None:
    """Value(parameter) is the parameter, with a type if one was given."""
    bound = BoundParam(node.value._of)
    bound.is_number = True
    if node._output_field_or_none is None:
        node.output_field = bound.output_field
    bound.rules = node.output_field
    node.as_sql = bound.as_sql


# --- look-ups ---------------------------------------------------------------------------


def _place(lookup: Any, connection: Any) -> None:
    right = lookup.rhs
    if isinstance(right, ExpressionList) and isinstance(lookup, (In, Range)):
        for item in right.get_source_expressions():
            if isinstance(item, BoundParam):
                item.rules = lookup.lhs.output_field
        return
    if not isinstance(right, BoundParam):
        return
    if right.param.many:
        _place_list(lookup, right, connection)
    elif _prepares(lookup, connection):
        use = lookup_use(lookup, right.param, connection)
        lookup.rhs = _Placed(use)
        lookup.get_db_prep_lookup = lambda value, connection: ("%s", [use])
    elif isinstance(lookup, YearLookup):
        _place_year(lookup, right, connection)
    elif isinstance(lookup, BuiltinLookup):
        right.rules = lookup.lhs.output_field if lookup.prepare_rhs else None


def _prepares(lookup: Any, connection: Any) -> bool:
    return (
        isinstance(lookup, _SINGLE)
        and type(lookup).__module__ in _KNOWN
        and not isinstance(lookup, YearLookup)
        and not lookup.bilateral_transforms
        and hasattr(lookup.lhs, "output_field")
        and (
            not isinstance(lookup, UUIDTextMixin) or bool(connection.features.has_native_uuid_field)
        )
    )


def _place_list(lookup: Any, right: BoundParam, connection: Any) -> None:
    if not _is_in(lookup):
        raise CompileError(
            f"parameter {right.param.name!r} is a list: it can stand behind `__in` and nowhere else"
        )
    use = list_use(lookup, right.param, connection)
    template = (
        "= ANY(%s)" if connection.vendor == "postgresql" else "IN (SELECT value FROM json_each(%s))"
    )
    lookup.rhs = _Empty(use)
    lookup.process_rhs = lambda compiler, connection: ("%s", [use])
    lookup.get_rhs_op = lambda connection, rhs: template % rhs


def _is_in(lookup: Any) -> bool:
    return isinstance(lookup, In) and not lookup.bilateral_transforms


class _Empty(_Placed):
    def __len__(self) -> int:  # In.as_sql() looks whether the list must be cut
        return 0


def _place_year(lookup: Any, right: BoundParam, connection: Any) -> None:
    """A year is a range of its column, so that an index serves."""

    bounds = lookup.year_lookup_bounds  # of the class

    def bound(which: int) -> Use:
        def prepare(year: Any, connection: Any) -> Any:
            return bounds(connection, int(year))[which]

        return Use(right.param, 0, prepare, whole=True)

    first, last = bound(0), bound(1)
    lookup.rhs = _Placed(first)
    lookup.get_db_prep_lookup = lambda value, connection: ("%s", [first])
    lookup.year_lookup_bounds = lambda connection, year: (first, last)


# --- slices -----------------------------------------------------------------------------


def _bound(query: Query, trace: Trace) -> None:
    low, high = query.low_mark, query.high_mark
    if max(low, high or 0) < BOUND_FIRST:
        return
    low_sum = _sum_of(low, trace)
    high_sum = None if high is None else _sum_of(high, trace)
    offset = trace.mint_slice(Slice(low_sum, None)) if low else 0
    query.low_mark = offset
    if high_sum is not None:
        query.high_mark = offset + trace.mint_slice(Slice(low_sum, high_sum))


def _sum_of(mark: int, trace: Trace) -> Sum:
    if mark < BOUND_FIRST:
        return Sum.constant(mark)
    if mark not in trace.bounds:
        raise CompileError("a queryset is sliced twice: slice it once, `[offset:offset + n]`")
    return trace.bounds[mark]
