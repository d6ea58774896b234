"""The columns of a result: what value each becomes, and whether C can make it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db.models import JSONField
from django.db.models.expressions import BaseExpression, Col

# Shared with include/q5/encoder.h (q5_value).
BOOL, INT, FLOAT, DECIMAL, TEXT, BYTES, DATE, TIME, DATETIME, DURATION, UUID, JSON, IP = range(13)
PYTHON: Final = -1

_VALUES: dict[str, int] = {
    "AutoField": INT, "BigAutoField": INT, "SmallAutoField": INT, "BigIntegerField": INT,
    "IntegerField": INT, "SmallIntegerField": INT, "PositiveIntegerField": INT,
    "PositiveBigIntegerField": INT, "PositiveSmallIntegerField": INT, "BooleanField": BOOL,
    "FloatField": FLOAT, "DecimalField": DECIMAL, "CharField": TEXT, "TextField": TEXT,
    "SlugField": TEXT, "FileField": TEXT, "FilePathField": TEXT, "BinaryField": BYTES,
    "DateField": DATE, "TimeField": TIME, "DateTimeField": DATETIME, "DurationField": DURATION,
    "UUIDField": UUID, "JSONField": JSON, "GenericIPAddressField": IP,
}  # fmt: skip


class Column(NamedTuple):
    """What C is told of a column (binding/query_plan.c reads the tuple), and what Python does."""

    value: int  # PYTHON: only Django's converters can make it
    array: bool = False
    utc: bool = False
    expression: bool = False
    decimal_places: int = -1
    max_digits: int = 0


class Output(NamedTuple):
    """A column, and Django's way to its value."""

    column: Column
    converters: tuple[Callable[..., Any], ...]
    expression: Any
    why: str  # where it is PYTHON


def outputs_of(compiler: Any, expressions: list[Any]) -> tuple[Output, ...]:
    converters = compiler.get_converters(expressions)
    outputs = []
    for index, expression in enumerate(expressions):
        column, why = _column(expression, compiler.connection)
        outputs.append(Output(column, tuple(converters.get(index, ((), 0))[0]), expression, why))
    return tuple(outputs)


def _column(expression: Any, connection: Any) -> tuple[Column, str]:
    field = getattr(expression, "output_field", None)
    if field is None:
        return Column(PYTHON), "its type is not known"
    why = _own_ways(expression, field)
    if why:
        return Column(PYTHON), why
    array = False
    if connection.vendor == "postgresql" and _is_array(field):
        array = True
        while _is_array(field):
            field = field.base_field
        why = _own_ways(Col("", field), field)
        if why:
            return Column(PYTHON), why
    internal = field.get_internal_type()
    value = _VALUES.get(internal, PYTHON)
    is_expression = not isinstance(expression, Col)
    if value == PYTHON:
        return Column(PYTHON), f"{type(field).__name__} is not known to the encoder"
    if value == JSON and is_expression and connection.vendor != "postgresql":
        return Column(PYTHON), "a part of a JSON value"
    utc = False
    if value == DATETIME:
        zone = connection.timezone_name if settings.USE_TZ else "naive"
        utc = zone == "UTC"
        stored_in_zone = settings.USE_TZ or connection.vendor == "postgresql"
        if stored_in_zone and connection.timezone_name != "UTC":
            return Column(PYTHON), f"the connection's time zone is {connection.timezone_name}"
    places, digits = -1, 0
    if value == DECIMAL and not is_expression:
        places = -1 if field.decimal_places is None else field.decimal_places
        digits = field.max_digits or 0
    return Column(value, array, utc, is_expression, places, digits), ""


def _is_array(field: Any) -> bool:
    return type(field).__module__ == "django.contrib.postgres.fields.array"


def _own_ways(expression: Any, field: Any) -> str:
    """Why Django's converters must be called, or ""."""
    name = type(field).__name__
    if isinstance(field, JSONField):
        if type(field).from_db_value is not JSONField.from_db_value:
            return f"{name} has a from_db_value() of its own"
        if field.decoder is not None:
            return f"{name} has a decoder"
    elif hasattr(field, "from_db_value") and not _is_array(field):
        return f"{name} has from_db_value()"
    if not _of_django(field, "get_db_converters"):
        return f"{name} has get_db_converters()"
    if not isinstance(expression, Col):
        for method in ("get_db_converters", "convert_value"):
            if not _same(expression, BaseExpression, method):
                return f"{type(expression).__name__} has {method}"
    return ""


def _of_django(field: Any, name: str) -> bool:
    """Whether the method is that of one of Django's model fields."""
    module = getattr(inspect.getattr_static(type(field), name, None), "__module__", "")
    return module.startswith("django.db.models.fields")


def _same(thing: Any, base: type, name: str) -> bool:
    return inspect.getattr_static(type(thing), name) is inspect.getattr_static(base, name)


def converted(
    rows: Sequence[Sequence[Any]], outputs: tuple[Output, ...], connection: Any
) -> Sequence[Sequence[Any]]:
    """The values that Django gives for rows of the driver's."""
    columns = [(i, output) for i, output in enumerate(outputs) if output.converters]
    if not columns:
        return rows
    made = [list(row) for row in rows]
    for index, output in columns:
        for converter in output.converters:
            for values in made:
                values[index] = converter(values[index], output.expression, connection)
    return made
