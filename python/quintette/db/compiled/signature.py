"""The parameters of a function that is to be compiled, from its signature."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from django.db.models import (
    BinaryField,
    BooleanField,
    CharField,
    DateField,
    DateTimeField,
    DecimalField,
    DurationField,
    Field,
    FloatField,
    IntegerField,
    JSONField,
    TimeField,
    UUIDField,
)

from quintette.db.compiled.errors import ParameterError, located
from quintette.db.compiled.placeholders import INT64_MAX, INT64_MIN

# What a parameter of a type is in SQL where nothing else says.
FIELDS: dict[type, Callable[[], Field[Any, Any]]] = {
    bool: BooleanField,
    int: IntegerField,
    float: FloatField,
    str: CharField,
    bytes: BinaryField,
    decimal.Decimal: DecimalField,
    dt.date: DateField,
    dt.datetime: DateTimeField,
    dt.time: TimeField,
    dt.timedelta: DurationField,
    uuid.UUID: UUIDField,
    dict: JSONField,
}
_LISTS = (list, set, frozenset, tuple, Sequence, Collection, Iterable)
MISSING: Any = inspect.Parameter.empty


class Declared(NamedTuple):
    """One parameter."""

    name: str
    position: int
    type: Any  # as annotated, for validation
    kind: type  # of the value, or of each one of a list; the value's of an Enum or Literal
    many: bool
    optional: bool
    few: bool  # bool, Literal or Enum: may be asked for its value
    default: Any
    keyword_only: bool
    constrained: bool  # the type says more than `kind`

    def described(self) -> tuple[Any, ...]:
        """For C: binding/query/query_call.c."""
        plain = None if self.constrained else self.kind
        fallback = None
        if self.default is not MISSING:
            fallback = (self.default,)
        return self.name, plain, fallback, self.many, self.optional, self.keyword_only

    def example(self) -> Any:
        """An argument that stands for all those that need no variant of their own."""
        if self.default is not MISSING:
            return self.default
        if typing.get_origin(self.type) is typing.Literal:
            return typing.get_args(self.type)[0]
        if isinstance(self.type, type) and issubclass(self.type, enum.Enum):
            return next(iter(self.type))
        return False if self.kind is bool else ...

    def convert(self, value: Any) -> Any:
        """The value, validated as msgspec does in strict mode. Raises msgspec.ValidationError, and
        ParameterError for what no database takes."""
        if isinstance(value, enum.Enum):
            value = value.value
        if self.many and isinstance(value, (set, frozenset, tuple)):
            value = list(value)
        try:
            valid = msgspec.convert(value, self.type, strict=True)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(f"{self.name}: {error}") from None
        for one in valid if self.many else (valid,):
            self._check(one)
        return valid

    def _check(self, value: Any) -> None:
        """As binding/query/query_call.c does for what is of the plain type."""
        if isinstance(value, str) and "\0" in value:
            raise ParameterError([self.name], "contains a NUL character")
        if isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
            raise ParameterError([self.name], "exceeds 64 bits")


def read(function: Callable[..., Any]) -> tuple[tuple[Declared, ...], Any]:
    """The parameters and the annotated result (MISSING: none). Raises CompileError."""
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise located(function, "a compiled query is a plain function: drop `async` and `yield`")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise located(function, f"an annotation cannot be read: {error}") from error
    declared = []
    for index, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise located(function, f"*{parameter.name}: name each parameter, or take a list")
        if parameter.name not in hints:
            raise located(
                function,
                f"parameter {parameter.name!r} has no type: annotate it, such as "
                f"`{parameter.name}: int`",
            )
        declared.append(_declare(function, index, parameter, hints[parameter.name]))
    return tuple(declared), hints.get("return", MISSING)


def _declare(
    function: Callable[..., Any], index: int, parameter: inspect.Parameter, annotation: Any
) -> Declared:
    constrained = typing.get_origin(annotation) is typing.Annotated
    tp, optional = without_none(annotation)
    origin, arguments = typing.get_origin(tp), typing.get_args(tp)
    many = (origin or tp) in _LISTS
    if many and (not arguments or (origin is tuple and arguments[1:] != (...,))):
        raise located(
            function,
            f"parameter {parameter.name!r}: say what the list holds, such as `list[int]`",
        )
    inner, inner_optional = without_none(arguments[0] if many else tp)
    if inner_optional and many:
        raise located(function, f"parameter {parameter.name!r}: a list cannot hold None")
    kind, few = _kind_of(inner)
    if kind is None:
        raise located(
            function,
            f"parameter {parameter.name!r}: {annotation!r} is no type that a query takes. These "
            f"are: {', '.join(t.__name__ for t in FIELDS)}, Literal, Enum, lists of them, and "
            f"`... | None`",
        )
    validated = list[inner] if many else inner  # type: ignore[valid-type]
    if constrained and not many:
        validated = annotation
    return Declared(
        name=parameter.name,
        position=index,
        type=validated,
        kind=kind,
        many=many,
        optional=optional,
        few=few and not many,
        default=parameter.default,
        keyword_only=parameter.kind is parameter.KEYWORD_ONLY,
        constrained=constrained or inner is not kind,
    )


def without_none(tp: Any) -> tuple[Any, bool]:
    """The type without Annotated and None, and whether None was in it."""
    if typing.get_origin(tp) is typing.Annotated:
        tp = typing.get_args(tp)[0]
    if typing.get_origin(tp) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(tp) if member is not type(None)]
        if len(members) == 1 and len(members) < len(typing.get_args(tp)):
            return without_none(members[0])[0], True
    return tp, False


def _kind_of(tp: Any) -> tuple[type | None, bool]:
    if typing.get_origin(tp) is typing.Literal:
        kinds = {type(value) for value in typing.get_args(tp)}
        return (kinds.pop() if len(kinds) == 1 else None), True
    if isinstance(tp, type) and issubclass(tp, enum.Enum):
        kinds = {type(member.value) for member in tp}
        return (kinds.pop() if len(kinds) == 1 else None), True
    if typing.get_origin(tp) is dict:
        return dict, False
    return (tp if tp in FIELDS else None), tp is bool


def field_of(declared: Declared) -> Field[Any, Any] | None:
    if declared.many:
        return None
    if declared.kind is decimal.Decimal:
        return DecimalField(max_digits=None, decimal_places=None)
    return FIELDS[declared.kind]()
