"""What a queryset selects, as rows: for objects by Django's own ways, for JSON as a tree."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from django.db import connections
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    NamedValuesListIterable,
    ValuesIterable,
    ValuesListIterable,
)

from quintette.db.compiled.errors import CompileError
from quintette.db.compiled.nodes import Array, Cell, Node, Object
from quintette.db.compiled.signature import without_none
from quintette.db.shapes import compiling
from quintette.db.shapes.beside import Beside
from quintette.db.shapes.declaration import ShapeMeta
from quintette.db.shapes.errors import ShapeError

_SHAPE_DEPTH_MAX = 16


# --- the tree of a queryset -------------------------------------------------------------


def names_of(query: Any) -> list[str]:
    """The columns of values() and its kin, as ValuesIterable has them."""
    if query.selected:
        return list(query.selected)
    return [*query.extra_select, *query.values_select, *query.annotation_select]


def node_of(queryset: Any, compiler: Any) -> Node:
    """Of a queryset whose compiler has been set up."""
    iterable = queryset._iterable_class
    if issubclass(iterable, ModelIterable):
        node = _instance(compiler.klass_info, compiler.select)
        node.members += tuple(
            (name, Cell(column)) for name, column in (compiler.annotation_col_map or {}).items()
        )
        return node
    names = names_of(queryset.query)
    if iterable is FlatValuesListIterable:
        return Cell(0)
    cells = [Cell(column) for column in range(len(names))]
    if iterable is ValuesIterable:
        return Object(list(zip(names, cells, strict=True)))
    if iterable in (ValuesListIterable, NamedValuesListIterable):
        return Array(cells)
    raise CompileError(f"{iterable.__name__} gives rows in a way that cannot be compiled")


def _instance(klass_info: dict[str, Any], select: Sequence[Any], null_column: int = -1) -> Object:
    members: list[tuple[str, Node]] = [
        (select[column][0].target.attname, Cell(column)) for column in klass_info["select_fields"]
    ]
    for related in klass_info.get("related_klass_infos", ()):
        key = (
            related["model"]._meta.pk_fields[0]
            if hasattr(related["model"]._meta, "pk_fields")
            else related["model"]._meta.pk
        )
        null = next(
            column for column in related["select_fields"] if select[column][0].target is key
        )
        field = related["field"]
        name = field.remote_field.get_accessor_name() if related["reverse"] else field.name
        members.append((name, _instance(related, select, null)))
    return Object(members, null_column)


# --- objects by Django's own iterables --------------------------------------------------


class _Rows:
    """Stands for a compiler that has run: results_iter() and the rest are Django's."""

    def __init__(self, compiler: Any, rows: Sequence[Any], connection: Any) -> None:
        self.compiler = copy.copy(compiler)
        self.compiler.connection = connection
        self.compiler.execute_sql = lambda *args, **kwargs: [rows]


def objects_of(queryset: Any, compiler: Any, rows: Sequence[Any], using: str) -> list[Any]:
    """What the queryset would have given for these rows of the driver's."""
    ran = _Rows(compiler, rows, connections[using]).compiler
    clone = queryset._chain()
    clone._db = using
    query = copy.copy(queryset.query)
    query.get_compiler = lambda *args, **kwargs: ran
    clone._query = query  # the property would choose another iterable
    return list(clone._iterable_class(clone))


# --- shapes -----------------------------------------------------------------------------


class Shaped(NamedTuple):
    """A queryset that selects what a shape declares."""

    queryset: Any
    node: Node
    children: tuple[Beside, ...] = ()
    """The queries of its to-many fields."""
    apart: str = ""
    """Why these must wait for the rows' keys, or ""."""


def shaped(queryset: Any, shape: Any) -> Shaped:
    """Fields of the Struct are found by their names: fields of the model, annotations, columns of
    values(). A field that is a Struct itself follows a relation to one. Raises CompileError."""
    if not (isinstance(shape, type) and issubclass(shape, msgspec.Struct)):
        raise CompileError(f"{shape!r} is no shape: give a msgspec.Struct")
    if isinstance(shape, ShapeMeta):
        try:
            return Shaped(*compiling.laid_out(queryset, shape))
        except ShapeError as error:
            raise CompileError(str(error)) from error
    if queryset._fields is not None:
        names = names_of(queryset.query)
    else:
        names = _names_in(shape, "", 0)
        try:
            queryset = queryset.values_list(*names)
        except Exception as error:
            raise CompileError(f"{shape.__name__} does not fit: {error}") from error
        names = names_of(queryset.query)
    columns = {name: column for column, name in enumerate(names)}
    return Shaped(queryset, _struct(shape, "", columns))


def _nested(field: Any) -> type[msgspec.Struct] | None:
    tp, _ = without_none(field.type)
    return tp if isinstance(tp, type) and issubclass(tp, msgspec.Struct) else None


def _names_in(shape: Any, prefix: str, depth: int) -> list[str]:
    if depth > _SHAPE_DEPTH_MAX:
        raise CompileError(f"{shape.__name__} is nested too deeply")
    names = []
    for field in msgspec.structs.fields(shape):
        inner = _nested(field)
        name = prefix + field.name
        if inner is None:
            names.append(name)
        else:
            names += [f"{name}__pk", *_names_in(inner, f"{name}__", depth + 1)]
    return names


def _struct(shape: Any, prefix: str, columns: dict[str, int], null_column: int = -1) -> Object:
    if shape.__struct_config__.tag is not None or shape.__struct_config__.array_like:
        raise CompileError(f"{shape.__name__} is tagged or array_like: use a plain Struct")
    fields = msgspec.structs.fields(shape)
    members: list[tuple[str, Node]] = []
    for field in fields:
        inner, name = _nested(field), prefix + field.name
        if inner is not None and f"{name}__pk" in columns:
            node: Node = _struct(inner, f"{name}__", columns, columns[f"{name}__pk"])
        elif inner is None and name in columns:
            node = Cell(columns[name])
        else:
            raise CompileError(
                f"{shape.__name__}.{field.name} is not among what is selected: {', '.join(columns)}"
            )
        members.append((field.encode_name, node))
    return Object(members, null_column, _maker(shape, [field.name for field in fields]))


def _maker(shape: Any, names: list[str]) -> Any:
    """Given the values of these fields: an instance. The class itself, where it takes them so."""
    parameters = inspect.signature(shape).parameters.values()
    if [parameter.name for parameter in parameters] == names and all(
        parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters
    ):
        return shape
    return lambda *values: shape(**dict(zip(names, values, strict=True)))
