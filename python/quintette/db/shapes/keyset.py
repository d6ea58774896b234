"""Pages by cursor: rows behind the last one of the page before, by the columns that order them.

The condition is (a > x) OR (a = x AND b > y) OR ..., written so that NULLs count where the database
sorts them. The primary key is the last column, so that the order is total.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from django.core.exceptions import ValidationError
from django.db import connections
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import OrderBy

from quintette.db.shapes import fieldtypes, relations
from quintette.db.shapes.errors import CursorError, ShapeError

CURSOR_BYTES_MAX = 4096
_TAG_BYTES = 6


class Column(NamedTuple):
    path: str
    descending: bool
    nulls_last: bool
    field: Any
    nullable: bool

    @property
    def order(self) -> OrderBy:
        nulls = {"nulls_last" if self.nulls_last else "nulls_first": True} if self.nullable else {}
        return OrderBy(F(self.path), descending=self.descending, **nulls)

    def behind(self, value: Any) -> Q | None:
        """Rows that sort behind a value; None: there are none."""
        if value is None:
            return None if self.nulls_last else Q(**{f"{self.path}__isnull": False})
        behind = Q(**{f"{self.path}__{'lt' if self.descending else 'gt'}": value})
        if self.nullable and self.nulls_last:
            behind |= Q(**{f"{self.path}__isnull": True})
        return behind

    def equal(self, value: Any) -> Q:
        if value is None:
            return Q(**{f"{self.path}__isnull": True})
        return Q(**{self.path: value})


def columns_of(queryset: QuerySet[Any], using: str) -> list[Column]:
    """What orders a query set, to the primary key. Raises ShapeError for what no cursor can say."""
    query = queryset.query
    if query.extra_order_by or query.is_sliced or query.combinator or query.distinct_fields:
        raise ShapeError("a cursor needs a query set that is neither sliced, combined nor extra()")
    given: Sequence[Any] = query.order_by
    if not given and query.default_ordering:
        given = queryset.model._meta.ordering or ()
    largest = connections[using].features.nulls_order_largest
    columns = [_column(queryset, one, largest) for one in given]
    if not query.standard_ordering:  # reverse()
        columns = [
            one._replace(descending=not one.descending, nulls_last=not one.nulls_last)
            for one in columns
        ]
    pk = queryset.model._meta.pk
    if not any(one.field is pk and one.path in ("pk", pk.name) for one in columns):
        descending = bool(columns) and columns[-1].descending
        columns.append(Column("pk", descending, False, fieldtypes.value_field(pk), False))
    return columns


def _column(queryset: QuerySet[Any], given: Any, nulls_largest: bool) -> Column:
    descending, nulls_first, nulls_last = False, None, None
    if isinstance(given, OrderBy):
        descending, nulls_first, nulls_last = given.descending, given.nulls_first, given.nulls_last
        given = given.expression
    if isinstance(given, F) and type(given) is F:
        path = str(vars(given)["name"])
    elif isinstance(given, str) and given != "?":
        descending, path = given.startswith("-"), given.lstrip("-+")
    else:
        raise ShapeError(f"a cursor cannot follow an order by {given!r}: order by fields")
    field, nullable = _field_of(queryset, path)
    last = bool(nulls_last) or (not nulls_first and nulls_largest != descending)
    return Column(path, descending, last, field, nullable)


def _field_of(queryset: QuerySet[Any], path: str) -> tuple[Any, bool]:
    annotation = queryset.query.annotations.get(path)
    if annotation is not None:
        if annotation.contains_aggregate or annotation.contains_over_clause:
            raise ShapeError(f"a cursor cannot follow an order by the aggregate {path!r}")
        return fieldtypes.value_field(annotation.output_field), True
    model: Any = queryset.model
    nullable = False
    step = None
    for part in path.split("__"):
        step = relations.find(model, part) if model is not None else None
        if step is None or step.to_many:
            raise ShapeError(f"a cursor cannot follow an order by {path!r}: order by fields")
        nullable = nullable or step.nullable
        model = step.related
    assert step is not None
    if model is not None and not (step.field.primary_key and path == "pk"):
        raise ShapeError(
            f"a cursor cannot follow an order by the relation {path!r}: order by {path}_id, or by "
            f"one of its fields"
        )
    return fieldtypes.value_field(step.field), nullable


def condition(columns: Sequence[Column], values: Sequence[Any]) -> Q | None:
    """Rows behind the one with these values; None: there are none."""
    result: Q | None = None
    equal = Q()
    for column, value in zip(columns, values, strict=True):
        behind = column.behind(value)
        if behind is not None:
            term = equal & behind
            result = term if result is None else result | term
        equal &= column.equal(value)
    return result


# --- cursors as text --------------------------------------------------------------------


def _tag(columns: Sequence[Column], model: Any) -> bytes:
    """Of the order, so that a cursor of another one is refused and not misread. Not a signature:
    a cursor says no more than a filter."""
    order = "".join(f"{'-' if one.descending else '+'}{one.path}" for one in columns)
    text = f"{model._meta.label} {order}"
    return hashlib.blake2b(text.encode(), digest_size=_TAG_BYTES).digest()


def encode(columns: Sequence[Column], model: Any, values: Sequence[Any]) -> str:
    content = _tag(columns, model) + msgspec.json.encode(list(values))
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(columns: Sequence[Column], model: Any, cursor: str) -> list[Any]:
    """Raises CursorError."""
    if len(cursor) > CURSOR_BYTES_MAX:
        raise CursorError("the cursor is too long")
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if content[:_TAG_BYTES] != _tag(columns, model):
            raise CursorError("the cursor is not of this query")
        values = msgspec.json.decode(content[_TAG_BYTES:], type=list)
        if len(values) != len(columns):
            raise CursorError("the cursor is not of this query")
        return [_value(column, value) for column, value in zip(columns, values, strict=True)]
    except (binascii.Error, msgspec.DecodeError, ValidationError, ValueError) as error:
        raise CursorError("the cursor is damaged") from error


def _value(column: Column, value: Any) -> Any:
    if isinstance(value, (dict, list)):
        raise CursorError("the cursor is damaged")
    if value is None and not column.nullable:
        raise CursorError("the cursor is damaged")
    return column.field.to_python(value)
