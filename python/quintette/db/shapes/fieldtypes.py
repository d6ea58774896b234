"""Whether a Python type holds what a model's field gives, and how the one is made of the other."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

import msgspec
from django.db import models
from django.db.models.fields.files import FileField

from quintette.api import types

Convert = Callable[[Any], Any]

# Of Django's classes the first that a field is an instance of counts. Fields beside them (a
# project's own on models.Field) may be declared as anything.
_PYTHON: tuple[tuple[type[models.Field[Any, Any]], tuple[type, ...]], ...] = (
    (models.BooleanField, (bool,)),
    (models.AutoField, (int, float)),
    (models.IntegerField, (int, float)),
    (models.FloatField, (float,)),
    (models.DecimalField, (decimal.Decimal,)),
    (models.DateTimeField, (dt.datetime,)),
    (models.DateField, (dt.date,)),
    (models.TimeField, (dt.time,)),
    (models.DurationField, (dt.timedelta,)),
    (models.UUIDField, (uuid.UUID,)),
    (models.BinaryField, (bytes,)),
    (FileField, (str,)),
    (models.GenericIPAddressField, (str,)),
    (models.CharField, (str,)),
    (models.TextField, (str,)),
    (models.FilePathField, (str,)),
)


def value_field(field: Any) -> Any:
    """The field whose values a column holds: through foreign keys and generated fields."""
    seen = 0
    while seen < 8:
        seen += 1
        if getattr(field, "remote_field", None) is not None and hasattr(field, "target_field"):
            field = field.target_field
        elif isinstance(getattr(field, "output_field", None), models.Field):
            field = field.output_field
        else:
            return field
    return field


def python_types(field: Any) -> tuple[type, ...] | None:
    """None for whatever it may be."""
    for cls, found in _PYTHON:
        if isinstance(field, cls):
            return found
    return None


def mismatch(field: Any, tp: Any) -> str | None:
    """Why values of a field are not of a type, in words; None when they are. NULL is another
    question."""
    field = value_field(field)
    tp, _ = types.without_none(tp)
    parts = list(types.members(tp))
    for part in parts:
        if _takes(field, types.strip(part)):
            return _choices_left_out(field, parts)
    expected = python_types(field)
    if expected is None:
        expected = (list,) if _base_field(field) is not None else ()
    name = expected[0].__name__ if expected else "?"
    declared = " | ".join(types.name_of(one) for one in parts)
    return f"{type(field).__name__} gives {name}, not {declared}"


def _base_field(field: Any) -> Any:
    """Of PostgreSQL's ArrayField, without importing it: it needs psycopg."""
    base = getattr(field, "base_field", None)
    return base if isinstance(base, models.Field) else None


def _takes(field: Any, tp: Any) -> bool:
    if tp in (Any, object) or isinstance(field, models.JSONField):
        return True
    base = _base_field(field)
    if base is not None:
        listed = types.list_of(tp)
        return listed is not None and (listed[1] is Any or mismatch(base, listed[1]) is None)
    expected = python_types(field)
    if expected is None:
        return True
    if get_origin(tp) is typing.Literal:
        return all(isinstance(one, expected) for one in get_args(tp))
    if not isinstance(tp, type):
        return False
    if issubclass(tp, enum.Enum):
        return all(isinstance(one.value, expected) for one in tp)
    return tp in expected


def _choices_left_out(field: Any, parts: list[Any]) -> str | None:
    """An Enum or a Literal must know every choice that the field may hold."""
    known: set[Any] = set()
    for part in parts:
        inner = types.strip(part)
        if get_origin(inner) is typing.Literal:
            known.update(get_args(inner))
        elif isinstance(inner, type) and issubclass(inner, enum.Enum):
            known.update(one.value for one in inner)
        else:
            return None
    choices = {value for value, _ in getattr(field, "flatchoices", None) or ()}
    if getattr(field, "blank", False) and isinstance(field, (models.CharField, models.TextField)):
        choices.add("")
    missing = sorted(repr(one) for one in choices - known - {None})
    if not missing:
        return None
    return f"the field may hold {', '.join(missing)}, which the type does not have"


def converter(field: Any, tp: Any) -> Convert | None:
    """From what Django's field gives to the declared type; None when it is that already."""
    field = value_field(field)
    tp, _ = types.without_none(tp)
    inner = types.strip(tp)
    if isinstance(field, models.JSONField):
        return None if _is_plain_json(inner) else _nullable(_JSON(tp))
    if isinstance(field, FileField):
        return _FileURL(field)
    if isinstance(field, models.BinaryField):
        return to_bytes
    for part in types.members(tp):
        one = types.strip(part)
        if isinstance(one, type) and issubclass(one, enum.Enum):
            known: Mapping[Any, Any] = {member.value: member for member in one}
            return Member(known)
    listed = types.list_of(inner)
    if _base_field(field) is not None and listed is not None:
        each = converter(_base_field(field), listed[1])
        if each is not None or listed[0] is not list:
            return _nullable(_Array(listed[0], each))
    return None


def _is_plain_json(tp: Any) -> bool:
    if tp in (Any, object, dict, list, str, int, float, bool):
        return True
    listed, keyed = types.list_of(tp), types.dict_of(tp)
    if listed is not None:
        return listed[0] is list and _is_plain_json(types.strip(listed[1]))
    return keyed is not None and keyed[0] in (str, Any) and _is_plain_json(types.strip(keyed[1]))


def _nullable(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def to_bytes(value: Any) -> Any:
    """psycopg gives a memoryview."""
    return None if value is None else bytes(value)


class _JSON:
    def __init__(self, tp: Any) -> None:
        self._type = tp

    def __call__(self, value: Any) -> Any:
        return msgspec.convert(value, self._type)


class _FileURL:
    """A file is seen as its URL, as it is where a model's instance is sent."""

    def __init__(self, field: FileField) -> None:
        self._field = field

    def __call__(self, name: Any) -> Any:
        return self._field.storage.url(name) if name else name


class Member:
    """The member of an Enum; what is none (of a union with other types) stays."""

    def __init__(self, known: Mapping[Any, Any]) -> None:
        self._known = known

    def __call__(self, value: Any) -> Any:
        return self._known.get(value, value)


class _Array:
    def __init__(self, container: Any, each: Convert | None) -> None:
        self._container = container
        self._each = each

    def __call__(self, value: Any) -> Any:
        return self._container(value if self._each is None else map(self._each, value))
