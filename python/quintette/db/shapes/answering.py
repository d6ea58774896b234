"""Handlers of the typed API that return a selection, or what one can be made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import msgspec
from django.db.models import Manager, Model, QuerySet
from django.http import Http404

from quintette.api import types
from quintette.api.errors import ResultError
from quintette.db.shapes import declared, selection
from quintette.db.shapes.pages import CursorPage, OffsetPage, Page
from quintette.db.shapes.selection import Selection


class Selected(NamedTuple):
    using: str
    """The database's alias: it says where the next may run."""
    json: Callable[[], bytes]
    """Runs the queries. Raises Http404 where the declared type is a single shape."""


class Answering:
    """What a declared type makes of selections and query sets; built with the plan of a route."""

    def __init__(self, tp: Any) -> None:
        """tp: the declared type, or Any."""
        self._shape: Any = None
        self._listed = False
        self._to_json: Callable[[Selection[Any]], bytes] = Selection.json
        inner, optional = types.without_none(tp)
        listed = types.list_of(inner)
        cls = types.class_of(inner)
        if listed is not None:
            if declared.is_shape(listed[1]):
                self._shape = types.class_of(listed[1])
                self._listed = True
        elif declared.is_shape(inner):
            self._shape = cls
            self._to_json = _first if optional else _get
        elif cls in (Page, OffsetPage, CursorPage):
            arguments = get_args(types.strip(inner))
            if arguments and declared.is_shape(arguments[0]):
                self._shape = types.class_of(arguments[0])
                self._to_json = _paged(cls)

    def __call__(self, result: Any) -> Selected | None:
        """None for a result of another kind."""
        if self._shape is not None:
            if isinstance(result, Model) and not result._state.adding:
                manager = type(result)._base_manager.using(result._state.db)
                result = manager.filter(pk=result.pk)
            elif self._listed and _are_saved(result):
                return Selected(result[0]._state.db, lambda: self._json_of(result))
            if isinstance(result, (QuerySet, Manager)):
                result = selection.select(self._shape, result)
        if not isinstance(result, Selection):
            return None
        if self._shape is not None and not issubclass(result.shape, self._shape):
            raise ResultError(
                f"declared {self._shape.__name__}, returned a selection of {result.shape.__name__}"
            )
        return Selected(result.queryset.db, lambda: self._to_json(result))

    def _json_of(self, instances: Any) -> bytes:
        return msgspec.json.encode(selection.of_instances(self._shape, instances))


def _are_saved(result: Any) -> bool:
    """Instances of one model and database."""
    if not isinstance(result, (list, tuple)) or not result or not isinstance(result[0], Model):
        return False
    first = result[0]
    return all(
        type(one) is type(first) and not one._state.adding and one._state.db == first._state.db
        for one in result
    )


def _get(selected: Selection[Any]) -> bytes:
    try:
        return selected.get_json()
    except selected.queryset.model.DoesNotExist as error:
        raise Http404(str(error)) from error


def _first(selected: Selection[Any]) -> bytes:
    return selected.first_json()


def _paged(kind: Any) -> Callable[[Selection[Any]], bytes]:
    def encode(selected: Selection[Any]) -> bytes:
        query = selected.queryset.query
        low, high = query.low_mark, query.high_mark
        if kind is CursorPage or high is None or high == low:
            method = "cursor" if kind is CursorPage else "page"
            raise ResultError(
                f"declared {kind.__name__}: return what .{method}() gives"
                + ("" if kind is CursorPage else ", or a selection that is sliced")
            )
        size = high - low
        queryset = selected.queryset.all()
        queryset.query.clear_limits()
        whole: Selection[Any] = Selection(selected.shape, queryset)
        if kind is OffsetPage:
            return whole.offset_json(low, size)
        if low % size:
            raise ResultError(f"rows {low} to {high} are no page of {size}: declare OffsetPage")
        return whole.page_json(low // size + 1, size)

    return encode
