"""What is known of a shape by its class alone: its model, its fields, their types."""

from __future__ import annotations

from typing import Any, Union

import msgspec
from django.apps import apps
from django.db.models import Model

from quintette.api import types
from quintette.db.shapes.declaration import ShapeMeta
from quintette.db.shapes.errors import UnresolvedError, refuse


def model_of(shape: Any) -> type[Model]:
    model = shape.__shape_model__
    if isinstance(model, str):
        try:
            return apps.get_model(model)
        except (LookupError, ValueError) as error:
            refuse(shape, None, f"model {model!r}: {error}")
    if not (isinstance(model, type) and issubclass(model, Model)):
        refuse(shape, None, f"names no model: class {shape.__name__}(Shape, model=...)")
    return model


def fields_of(shape: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    try:
        return msgspec.structs.fields(shape)
    except NameError as error:
        said = f"{error}; what an annotation names is looked up in the module"
        refuse(shape, None, said, UnresolvedError)


def without_unset(tp: Any) -> Any:
    """``UNSET`` is for input that leaves a field out; what is read is never that."""
    parts = types.members(tp)
    rest = tuple(part for part in parts if types.strip(part) is not msgspec.UnsetType)
    return tp if len(rest) == len(parts) else Union[rest]  # noqa: UP007


def is_shape(tp: Any) -> bool:
    return isinstance(types.class_of(tp), ShapeMeta)


def has_hook(shape: Any) -> bool:
    from quintette.db.shapes.shape import Shape

    return shape.queryset.__func__ is not Shape.queryset.__func__  # type: ignore[attr-defined]


def is_optional(tp: Any) -> bool:
    return types.without_none(tp)[1] or types.strip(tp) in (Any, object)


def shown(tp: Any) -> str:
    text = str(tp) if types.list_of(tp) or len(types.members(tp)) > 1 else types.name_of(tp)
    return text.replace("typing.", "")
