"""Where parameters stand in a query, and what makes a database's value of an argument there."""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from django.db.models import (
    BinaryField,
    BooleanField,
    CharField,
    DateField,
    Field,
    FloatField,
    IntegerField,
    JSONField,
    TextField,
    UUIDField,
)
from django.db.models.fields import AutoFieldMixin

from quintette.db.compiled.errors import CompileError

if TYPE_CHECKING:
    from quintette.db.compiled.placeholders import BoundParam, Parameter, Sum

# (value, connection) -> what the database's driver takes.
Prepare = Callable[[Any, Any], Any]

# PostgreSQL's types (pg_type.dat). 0: the server infers it from the place.
INFERRED = 0
INT8, INT4 = 20, 23
TEXT = 25
_OIDS: dict[str, int] = {
    "boolean": 16, "bytea": 17, "bigint": INT8, "integer": INT8, "smallint": INT8,
    "double precision": 701, "real": 701, "date": 1082, "time": 1083,
    "timestamp with time zone": 1184, "interval": 1186, "numeric": 1700, "uuid": 2950,
    "jsonb": 3802,
}  # fmt: skip
_ARRAYS = {
    TEXT: 1009,
    16: 1000, 17: 1001, INT8: 1016, 701: 1022, 1082: 1182, 1083: 1183, 1184: 1185, 1186: 1187,
    1700: 1231, 2950: 2951,
}  # fmt: skip

# The text that a place stands as while Django builds the SQL. Its underscore tells afterwards
# whether Django has escaped it for LIKE.
TOKEN_OPEN, TOKEN_CLOSE = "\ue000", "\ue001"


class Use:
    """One place of a parameter."""

    def __init__(
        self,
        param: Parameter,
        oid: int,
        prepare: Prepare | None,
        *,
        whole: bool = False,
    ) -> None:
        self.value: Sum = param.value
        self.name = param.name
        self.oid = oid
        self.prepare = prepare  # None: the value as it is
        self.whole = whole  # prepare has done what Django would do to the text around it
        self.number = len(param.trace.uses)
        param.trace.uses.append(self)

    def __str__(self) -> str:
        return f"{TOKEN_OPEN}_{self.number}{TOKEN_CLOSE}"


# --- fields whose preparation leaves values as they are ---------------------------------

_DJANGO = "django.db.models.fields"


def keeps(field: Any, kind: type, vendor: str) -> bool:
    """Whether the driver is given values of this type as they are, for this field."""
    cls = type(field)
    if cls.__module__ != _DJANGO:
        return False
    if kind is int:
        return issubclass(cls, (IntegerField, AutoFieldMixin))
    if kind is str:
        return issubclass(cls, (CharField, TextField))
    if kind is bool:
        return issubclass(cls, BooleanField)
    if kind is float:
        return issubclass(cls, FloatField)
    if kind is bytes:
        return issubclass(cls, BinaryField)
    if vendor != "postgresql":
        return False
    return (cls is DateField and kind is dt.date) or (cls is UUIDField and kind is uuid.UUID)


def target_of(field: Any) -> Any:
    """The field that a foreign key, or a chain of them, points to."""
    for _ in range(16):
        target = getattr(field, "target_field", None)
        if target is None:
            break
        field = target
    return field


def oid_of(field: Any, kind: type, connection: Any) -> int:
    if connection.vendor != "postgresql":
        return INFERRED
    db_type = (field.rel_db_type if hasattr(field, "rel_db_type") else field.db_type)(connection)
    if db_type is None and isinstance(field, Field):
        db_type = field.db_type(connection)
    if db_type is None:
        return 1700 if kind is decimal.Decimal else INFERRED
    return _OIDS.get(db_type.partition("(")[0], INFERRED)


def by_field(field: Any) -> Prepare:
    if isinstance(field, JSONField):
        encoder = field.encoder
        return lambda value, connection: json.dumps(value, cls=encoder)
    return lambda value, connection: field.get_db_prep_value(value, connection, prepared=False)


def native(value: Any) -> Any:
    """The value without the wrapper that Django puts around it for its driver."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return str(value)
    if isinstance(getattr(value, "obj", None), (bytes, dict, list, str, int, float, bool)):
        # psycopg's Binary and Jsonb
        inner = value.obj
        if isinstance(inner, bytes):
            return inner
        dumps = getattr(value, "dumps", None) or json.dumps
        text: str = dumps(inner)
        return text
    return value


def _array(items: list[Any]) -> str:
    """PostgreSQL's text form of an array (documentation, 8.15.2)."""
    quoted = (str(item).replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join(f'"{item}"' for item in quoted) + "}"


# --- the three kinds of places ----------------------------------------------------------


def expression_use(bound: BoundParam, connection: Any) -> Use:
    """Anywhere that Django takes an expression."""
    param = bound.param
    if param.many:
        raise CompileError(
            f"parameter {param.name!r} is a list: it can stand behind `__in` and nowhere else"
        )
    field = target_of(bound.rules or param.field)
    oid = oid_of(field, param.kind, connection)
    if oid == INT8 and not bound.is_number:
        oid = INT4  # functions such as substr() take no bigint
    prepare = None if keeps(field, param.kind, connection.vendor) else by_field(field)
    return Use(param, oid, prepare)


def lookup_use(lookup: Any, param: Parameter, connection: Any) -> Use:
    """The right side of a look-up that prepares a single value."""
    field = target_of(lookup.lhs.output_field)
    if not lookup.prepare_rhs:  # patterns: a text, whatever the field is
        if param.kind is str:
            return Use(param, INFERRED, None)
        return Use(param, INFERRED, by_lookup(lookup), whole=True)
    oid = oid_of(field, param.kind, connection)
    if keeps(field, param.kind, connection.vendor):
        return Use(param, oid, None)
    return Use(param, oid, by_lookup(lookup), whole=True)


def by_lookup(lookup: Any) -> Prepare:
    """Django's own preparation, done anew for each value."""
    cls, lhs = type(lookup), lookup.lhs

    def prepare(value: Any, connection: Any) -> Any:
        _, params = cls(lhs, value).process_rhs(None, connection)
        (prepared,) = params
        return prepared

    return prepare


def list_use(lookup: Any, param: Parameter, connection: Any) -> Use:
    """Behind `__in`: one parameter, however long the list."""
    field = target_of(lookup.lhs.output_field)
    plain = keeps(field, param.kind, connection.vendor)
    each = by_field(field)
    if connection.vendor == "postgresql":
        oid = _ARRAYS.get(oid_of(field, param.kind, connection), INFERRED)
        if isinstance(field, (CharField, TextField)):
            oid = _ARRAYS[TEXT]
        if plain and oid:
            return Use(param, oid, None)
        if oid:
            return Use(param, oid, lambda values, c: [native(each(value, c)) for value in values])
        return Use(param, oid, lambda values, c: _array([native(each(v, c)) for v in values]))

    def as_json(values: Any, connection: Any) -> str:
        prepared = values if plain else [each(value, connection) for value in values]
        return msgspec.json.encode(prepared).decode()

    return Use(param, INFERRED, as_json)
