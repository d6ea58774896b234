"""JSON Schema of shapes: msgspec's, with what the model knows beside it."""

from __future__ import annotations

from typing import Any

import msgspec

from quintette.db.shapes import declared, relations
from quintette.db.shapes.declaration import PLAIN, ShapeMeta


def schema_of(shape: Any) -> dict[str, Any]:
    """Fields have their model field's help text as description; computed ones are required, as an
    answer always has them."""
    schema = msgspec.json.schema(shape)
    definitions = schema.get("$defs", {})
    for one in _shapes_in(shape, {}):
        target = definitions.get(one.__name__)
        if target is not None and "properties" in target:
            _describe(one, target)
    return schema


def _shapes_in(shape: Any, seen: dict[Any, None]) -> dict[Any, None]:
    """This shape and those below it."""
    if shape in seen:
        return seen
    seen[shape] = None
    for info in msgspec.inspect.multi_type_info(
        [field.type for field in declared.fields_of(shape)]
    ):
        todo: list[Any] = [info]
        while todo:
            one = todo.pop()
            if isinstance(one, msgspec.inspect.StructType):
                if isinstance(one.cls, ShapeMeta):
                    _shapes_in(one.cls, seen)
            elif isinstance(one, msgspec.inspect.UnionType):
                todo.extend(one.types)
            else:
                todo.extend(filter(None, (getattr(one, "item_type", None),)))
    return seen


def _describe(shape: Any, schema: dict[str, Any]) -> None:
    model = declared.model_of(shape) if shape.__shape_model__ is not None else None
    for info in declared.fields_of(shape):
        target = schema["properties"].get(info.encode_name)
        if target is None:
            continue
        if info.name in shape.__shape_computed__:
            if info.encode_name not in schema.setdefault("required", []):
                schema["required"].append(info.encode_name)
            text = (shape.__shape_computed__[info.name].__doc__ or "").strip()
        else:
            text = _help_text(model, shape.__shape_options__.get(info.name, PLAIN), info.name)
        if text and "$ref" not in target and "description" not in target:
            target["description"] = text


def _help_text(model: Any, options: Any, name: str) -> str:
    if options.expr is not None or options.annotated or not options.from_model:
        return ""
    step = None
    for part in (options.source or name).split("__"):
        step = relations.find(model, part) if model is not None else None
        if step is None:
            return ""
        model = step.related
    return str(getattr(step.field, "help_text", "") or "") if step is not None else ""
