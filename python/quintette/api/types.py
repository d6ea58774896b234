"""Annotations, taken apart. Import time only."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import inspect

_UNIONS = (Union, types.UnionType)
_LISTS: dict[Any, Any] = {list: list, set: set, frozenset: frozenset, tuple: tuple}
_ABSTRACT_LISTS: dict[Any, Any] = {
    "Sequence": list,
    "Iterable": list,
    "Collection": list,
    "MutableSequence": list,
}
_ABSTRACT_SETS = {"Set": set, "MutableSet": set}


class Field(NamedTuple):
    """A member of an object type."""

    name: str
    """The attribute."""
    encode_name: str
    type: Any
    required: bool
    default: Any
    """MISSING-like msgspec.NODEFAULT when it has none, or a factory makes it."""


def resolve(tp: Any) -> Any:
    """Through ``type X = ...`` and ``NewType``."""
    while True:
        if hasattr(tp, "__value__") and type(tp).__name__ == "TypeAliasType":
            tp = tp.__value__
        elif hasattr(tp, "__supertype__"):
            tp = tp.__supertype__
        else:
            return tp


def split(tp: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type behind Annotated, and what annotates it."""
    metadata: tuple[Any, ...] = ()
    tp = resolve(tp)
    while get_origin(tp) is Annotated:
        inner, *more = get_args(tp)
        metadata = (*more, *metadata)
        tp = resolve(inner)
    return tp, metadata


def strip(tp: Any) -> Any:
    return split(tp)[0]


def annotated(tp: Any, metadata: tuple[Any, ...]) -> Any:
    return Annotated[(tp, *metadata)] if metadata else tp


def members(tp: Any) -> tuple[Any, ...]:
    """Of a union; of anything else, itself."""
    inner = strip(tp)
    return get_args(inner) if get_origin(inner) in _UNIONS else (tp,)


def without_none(tp: Any) -> tuple[Any, bool]:
    """The type without None, and whether None was in it."""
    inner, metadata = split(tp)
    if get_origin(inner) not in _UNIONS:
        return tp, inner is None or inner is type(None)
    rest = tuple(member for member in get_args(inner) if strip(member) is not type(None))
    if len(rest) == len(get_args(inner)):
        return tp, False
    return annotated(Union[rest], metadata), True  # noqa: UP007


def list_of(tp: Any) -> tuple[Any, Any] | None:
    """(container, item type) of list[T], set[T], frozenset[T], tuple[T, ...] and their kin."""
    inner = strip(tp)
    origin = get_origin(inner) or inner
    container: Any = _LISTS.get(origin) if isinstance(origin, type) else None
    if container is None:
        module = getattr(origin, "__module__", "")
        name = getattr(origin, "__name__", "")
        if module in ("collections.abc", "typing"):
            container = _ABSTRACT_LISTS.get(name) or _ABSTRACT_SETS.get(name)
    if container is None:
        return None
    arguments = get_args(inner)
    if container is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        return None
    return container, (arguments[0] if arguments else Any)


def dict_of(tp: Any) -> tuple[Any, Any] | None:
    inner = strip(tp)
    origin = get_origin(inner) or inner
    if origin is not dict and getattr(origin, "__name__", "") not in ("Mapping", "MutableMapping"):
        return None
    arguments = get_args(inner)
    return (arguments[0], arguments[1]) if len(arguments) == 2 else (Any, Any)


def is_class(tp: Any) -> bool:
    """A class itself; list[int] only passes for one."""
    return isinstance(tp, type) and get_origin(tp) is None


def pydantic_model() -> Any:
    """pydantic.BaseModel, or None where the project has not imported it: then nothing is one, and
    importing it would cost each process 6 MB."""
    module = sys.modules.get("pydantic")
    return module and module.BaseModel


def is_pydantic(tp: Any) -> bool:
    inner = strip(tp)
    base = pydantic_model()
    return base is not None and is_class(inner) and issubclass(inner, base)


def class_of(tp: Any) -> Any:
    """The class behind a generic alias."""
    inner = strip(tp)
    return get_origin(inner) or inner


def is_object(tp: Any) -> bool:
    """Struct, dataclass, attrs class, TypedDict, NamedTuple excluded."""
    cls = class_of(tp)
    if not isinstance(cls, type):
        return False
    return (
        issubclass(cls, msgspec.Struct)
        or dataclasses.is_dataclass(cls)
        or hasattr(cls, "__attrs_attrs__")
        or is_typed_dict(cls)
        or is_pydantic(cls)
    )


def is_typed_dict(tp: Any) -> bool:
    return typing.is_typeddict(class_of(tp))


def is_struct(tp: Any) -> bool:
    cls = class_of(tp)
    return isinstance(cls, type) and issubclass(cls, msgspec.Struct)


def contains_object(tp: Any) -> bool:
    """An object type, or a container or union with one."""
    if is_object(tp):
        return True
    listed = list_of(tp)
    if listed:
        return contains_object(listed[1])
    keyed = dict_of(tp)
    if keyed:
        return True
    parts = members(tp)
    return len(parts) > 1 and any(contains_object(part) for part in parts)


def fields_of(tp: Any) -> list[Field]:
    """Of any object type that is_object knows."""
    inner = strip(tp)
    if is_pydantic(inner):
        return [
            Field(
                name,
                info.alias or name,
                info.annotation,
                info.is_required(),
                msgspec.NODEFAULT,
            )
            for name, info in class_of(inner).model_fields.items()
        ]
    info = inspect.type_info(inner)
    if not isinstance(info, (inspect.StructType, inspect.DataclassType, inspect.TypedDictType)):
        raise TypeError(f"{inner!r} has no fields")
    if is_struct(inner):
        return [
            Field(field.name, field.encode_name, field.type, field.required, field.default)
            for field in msgspec.structs.fields(inner)
        ]
    hints = typing.get_type_hints(class_of(inner), include_extras=True)
    return [
        Field(
            field.name,
            field.encode_name,
            _not_required(hints.get(field.name, Any)),
            field.required,
            field.default,
        )
        for field in info.fields
    ]


def _not_required(tp: Any) -> Any:
    if get_origin(tp) in (typing.Required, typing.NotRequired):
        return get_args(tp)[0]
    return tp


def forbids_unknown(tp: Any) -> bool:
    cls = class_of(tp)
    if is_pydantic(cls):
        return bool(cls.model_config.get("extra") == "forbid")
    config = getattr(cls, "__struct_config__", None)
    return bool(config is not None and config.forbid_unknown_fields)


def walk_info(tp: Any) -> Iterator[inspect.Type]:
    """Every type inside a type that msgspec knows, each object type once."""
    seen: set[int] = set()
    todo: list[Any] = [inspect.type_info(tp)]
    while todo:
        info = todo.pop()
        if isinstance(info, inspect.Type):
            if id(info) in seen:
                continue
            seen.add(id(info))
            yield info
        elif not isinstance(info, inspect.Field):
            continue
        for name in info.__struct_fields__:
            value = getattr(info, name)
            if isinstance(value, (tuple, list)):
                todo.extend(value)
            elif isinstance(value, (inspect.Type, inspect.Field)):
                todo.append(value)


def name_of(tp: Any) -> str:
    inner = strip(tp)
    return getattr(inner, "__name__", None) or str(inner)
