"""What becomes of a handler's result: recognised, filtered by the declared type, encoded."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from django.db.models import Manager, Model, QuerySet
from django.db.models.fields.files import FieldFile
from django.http.response import HttpResponseBase
from django.utils.functional import Promise

from quintette.api import answer, types
from quintette.api.errors import ResultError
from quintette.api.markers import MISSING
from quintette.api.responses import Answered, Response

if TYPE_CHECKING:
    from quintette.db.shapes.answering import Selected

# Shared with binding/api/plan_data.h.
_TRUST, _NEVER, _EXACT, _STRUCT, _LIST, _DICT, _OPTIONAL, _PLAIN = range(8)

Shape = tuple[int, Any, tuple[Any, ...]]
TRUST: Shape = (_TRUST, None, ())
NEVER: Shape = (_NEVER, None, ())

# Deeper results take the slow way.
_SHAPE_DEPTH_MAX = 16


def is_undeclared(tp: Any) -> bool:
    return tp is MISSING or types.strip(tp) in (Any, object)


def is_response(tp: Any) -> bool:
    cls = types.class_of(tp)
    return isinstance(cls, type) and issubclass(cls, (Response, HttpResponseBase))


def shape_of(tp: Any) -> Shape:
    """Results of this shape are encoded as they are: they hold nothing that is not declared."""
    if is_undeclared(tp):
        return (_PLAIN, msgspec.Struct, ())
    from quintette.api.streams import is_streamed

    if is_response(tp) or is_streamed(tp):
        return NEVER
    return _shape(tp, ())


def _shape(tp: Any, within: tuple[Any, ...]) -> Shape:
    if len(within) > _SHAPE_DEPTH_MAX:
        return NEVER
    tp, optional = types.without_none(tp)
    shape = _shape_of_value(tp, within)
    return (_OPTIONAL, None, (shape,)) if optional and shape is not TRUST else shape


def _shape_of_value(tp: Any, within: tuple[Any, ...]) -> Shape:
    cls = types.class_of(tp)
    if is_undeclared(tp):
        return TRUST if within else (_PLAIN, msgspec.Struct, ())
    listed, keyed = types.list_of(tp), types.dict_of(tp)
    if listed:
        return (_LIST, None, (_shape(listed[1], (*within, cls)),)) if listed[0] is list else NEVER
    if keyed:
        return (_DICT, None, (_shape(keyed[1], (*within, cls)),))
    if types.is_object(tp):
        return _shape_of_object(tp, cls, within)
    if len(types.members(tp)) > 1:
        return TRUST if within and not types.contains_object(tp) else NEVER
    if not isinstance(cls, type):  # Literal
        return TRUST if within else NEVER
    if within and not issubclass(cls, tuple):
        return TRUST
    return (_EXACT, cls, ()) if cls in (int, float, bool, str) else NEVER


def _shape_of_object(tp: Any, cls: type, within: tuple[Any, ...]) -> Shape:
    if cls in within or types.is_pydantic(tp) or types.is_typed_dict(tp):
        return NEVER
    children = []
    for field in types.fields_of(tp):
        shape = _shape(field.type, (*within, cls))
        if shape is not TRUST:
            children.append((field.name, shape))
    return (_STRUCT, cls, tuple(children)) if children else (_EXACT, cls, ())


# --- projection: what is declared, and nothing else -------------------------------------

Project = Callable[[Any], Any]


def _as_is(value: Any) -> Any:
    return value


def _to_str(value: Any) -> Any:
    """Texts in Django's wrappings."""
    if type(value) is str or value is None:
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, FieldFile):
        return value.url if value else ""
    if isinstance(value, (str, Promise)):
        return str.__str__(value) if isinstance(value, str) else str(value)
    return value


class Projector:
    """Turns values of one type into builtins that hold only what the type declares. Object types
    may contain themselves, so there is one function per type, made when first needed."""

    def __init__(self) -> None:
        self._objects: dict[Any, Project] = {}

    def of(self, tp: Any) -> Project:
        tp, _ = types.without_none(tp)
        inner = types.strip(tp)
        listed, keyed = types.list_of(tp), types.dict_of(tp)
        if inner is str:
            return _to_str
        if listed:
            item = self.of(listed[1])
            return lambda value: (
                value
                if value is None or isinstance(value, (str, bytes))
                else [item(one) for one in _iterate(value)]
            )
        if keyed:
            each = self.of(keyed[1])
            return lambda value: (
                {key: each(one) for key, one in value.items()}
                if isinstance(value, Mapping)
                else value
            )
        if types.is_object(tp) and not types.is_pydantic(tp):
            return self._object(inner)
        parts = types.members(tp)
        if len(parts) > 1:
            return self._union(parts)
        return _as_is

    def _union(self, parts: tuple[Any, ...]) -> Project:
        objects = [part for part in parts if types.is_object(part)]
        if not objects:
            return _as_is
        classes = [(types.class_of(part), self.of(part)) for part in objects]

        def project(value: Any) -> Any:
            for cls, each in classes:
                if type(value) is cls:
                    return each(value)
            for cls, each in classes:
                if not types.is_typed_dict(cls) and isinstance(value, cls):
                    return each(value)
            return classes[0][1](value) if isinstance(value, Model) else value

        return project

    def _object(self, tp: Any) -> Project:
        try:
            return self._objects[tp]
        except KeyError:
            pass
        fields: list[tuple[str, str, Project, bool]] = []

        def project(value: Any) -> Any:
            if value is None or isinstance(value, (str, bytes, int, float, list)):
                return value  # the conversion refuses it
            result = {}
            if isinstance(value, Mapping):
                for name, key, each, _ in fields:
                    if key in value:
                        result[key] = each(value[key])
                    elif name in value:
                        result[key] = each(value[name])
            else:
                for name, key, each, required in fields:
                    try:
                        result[key] = each(getattr(value, name))
                    except AttributeError:
                        if required:
                            raise ResultError(
                                f"{type(value).__name__} has no attribute {name!r}"
                            ) from None
            tag = getattr(types.class_of(tp), "__struct_config__", None)
            if tag is not None and tag.tag_field:
                result[tag.tag_field] = tag.tag
            return result

        self._objects[tp] = project
        fields.extend(
            (field.name, field.encode_name, self.of(field.type), field.required)
            for field in types.fields_of(tp)
        )
        return project


def _iterate(value: Any) -> Iterable[Any]:
    if isinstance(value, Manager):
        return value.all()
    if isinstance(value, Iterable):
        return value
    raise ResultError(f"expected a list, got {type(value).__name__}")


# --- a plan's finish --------------------------------------------------------------------


class Finish:
    """For results that are not of the declared shape: result -> answer."""

    def __init__(self, tp: Any, status: int, fields: answer.Fields, is_async: bool) -> None:
        self._undeclared = is_undeclared(tp)
        self._type = tp
        self._status = status
        self._fields = fields
        self._is_async = is_async
        # Imported here: shapes are declared with the types of this package.
        from quintette.db.shapes.answering import Answering

        self._selected = Answering(Any if self._undeclared else tp)
        from quintette.api.streams import Streaming, is_streamed

        self._streaming = Streaming(tp, status, fields) if is_streamed(tp) else None
        self._only_response = not self._undeclared and is_response(tp)
        self._adapter: Any = None
        self._project: Project | None = None
        self._fast = False
        self._empty = not self._undeclared and types.strip(tp) in (None, type(None))
        if self._undeclared or self._only_response or self._empty or self._streaming:
            return
        if _has_pydantic(tp):
            import pydantic

            self._adapter = pydantic.TypeAdapter(tp)
        else:
            self._project = Projector().of(tp)
            self._fast = _is_flat(tp)

    def __call__(self, result: Any) -> answer.Answer:
        if isinstance(result, Response):
            return self._streaming.of(result) if self._streaming else result.answer()
        if isinstance(result, HttpResponseBase):
            return answer.DJANGO, result
        if self._streaming:
            return self._streaming.made_of(result)
        selected = self._selected(result)
        if selected is not None:
            return self._answer_selected(selected)
        if isinstance(result, Manager):
            result = result.all()
        if isinstance(result, QuerySet):
            if self._is_async and result._result_cache is None:
                return answer.AWAIT, _evaluate(result)
            result = list(result)
        if type(result) is bytes and (self._undeclared or types.strip(self._type) is bytes):
            return answer.BODY, self._status, self._binary_fields(), result
        if self._undeclared:
            return answer.VALUE, result
        return answer.VALUE, self.convert(result)

    def _answer_selected(self, selected: Selected) -> answer.Answer:
        """From rows to the body, without a look at the objects between them."""
        if not self._is_async:
            return answer.BODY, self._status, self._fields, selected.json()
        return answer.AWAIT, self._await_selected(selected)

    async def _await_selected(self, selected: Selected) -> Answered:
        from quintette.db.shapes import waiting

        body = await waiting.on(selected.using, selected.json)
        return Answered((answer.BODY, self._status, self._fields, body))

    def _binary_fields(self) -> answer.Fields:
        return [
            (name, "application/octet-stream" if name == "Content-Type" else value)
            for name, value in self._fields
        ]

    def convert(self, result: Any) -> Any:
        if self._only_response or self._empty:
            raise ResultError(
                f"declared {types.name_of(self._type)}, returned {type(result).__name__}"
            )
        if self._adapter is not None:
            value = self._adapter.validate_python(result, from_attributes=True)
            return self._adapter.dump_python(value, mode="json", by_alias=True)
        if self._fast:
            try:
                return msgspec.convert(result, self._type, from_attributes=True)
            except msgspec.ValidationError:
                pass  # perhaps only a lazy text or a file: look again, attribute by attribute
        assert self._project is not None
        try:
            return msgspec.convert(self._project(result), self._type, str_keys=True)
        except msgspec.ValidationError as error:
            raise ResultError(f"the result is not what was declared: {error}") from error


def evaluated(result: Any) -> Any:
    """Runs the query of a result that is one: what its handler depends on is about to be left."""
    if isinstance(result, Manager):
        result = result.all()
    if isinstance(result, (QuerySet, _selection())):
        len(result)
    return result


async def aevaluated(result: Any) -> Any:
    if isinstance(result, Manager):
        result = result.all()
    if isinstance(result, (QuerySet, _selection())):
        async for _ in result:
            break
    return result


def _selection() -> type[Any]:
    from quintette.db.shapes.selection import Selection

    return Selection


async def _evaluate(queryset: QuerySet[Any]) -> list[Any]:
    return [item async for item in queryset]


def _has_pydantic(tp: Any) -> bool:
    if types.is_pydantic(tp):
        return True
    listed, keyed = types.list_of(tp), types.dict_of(tp)
    if listed:
        return _has_pydantic(listed[1])
    if keyed:
        return _has_pydantic(keyed[1])
    parts = types.members(tp)
    return len(parts) > 1 and any(_has_pydantic(part) for part in parts)


def _is_flat(tp: Any) -> bool:
    """A Struct or a list of Structs whose fields hold no objects: msgspec converts it from
    attributes without looking into anything that is not declared."""
    listed = types.list_of(tp)
    item = types.without_none(listed[1] if listed else tp)[0]
    if not types.is_struct(item):
        return False
    return not any(
        types.contains_object(field.type) or types.list_of(types.without_none(field.type)[0])
        for field in types.fields_of(item)
    )
