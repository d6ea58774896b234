"""Model instances of a query's rows, made in C, for models that leave making them to Django."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Model, base
from django.db.models.base import ModelState
from django.db.models.fields.mixins import FieldCacheMixin
from django.db.models.fields.related_descriptors import ForeignKeyDeferredAttribute
from django.db.models.query import ModelIterable
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import ModelSignal, post_init, pre_init

from quintette import _quintette

_Model: Any = Model
_INIT = _Model.__init__
_FROM_DB = _Model.from_db.__func__
_CALL = type.__call__
_SET_CACHED = FieldCacheMixin.set_cached_value
_STATE_INIT = ModelState.__init__
_ITER = ModelIterable.__iter__
_SEND = ModelSignal.send
# A new instance has nothing cached that their __set__() would have to drop.
_DIRECT = frozenset({DeferredAttribute, ForeignKeyDeferredAttribute})
_SETTERS = {cls: cls.__dict__.get("__set__") for cls in _DIRECT}


class Maker:
    """Of one statement's rows. Built once; any thread may use it."""

    def __init__(self, maker: _quintette.ModelMaker, models: tuple[Any, ...]) -> None:
        self._maker = maker
        self._models = models

    def is_usable(self) -> bool:
        """False: something is Django's no longer, and must be called."""
        return _is_djangos() and all(map(_leaves_it_to_django, self._models))

    def make_all(self, rows: Iterable[Sequence[Any]]) -> list[Any]:
        """While it is usable."""
        return self._maker.make_all(rows)


def maker_of(queryset: Any, compiler: Any, db: str) -> Maker | None:
    """Of a queryset whose compiler has been set up. None: Django's iterable must make them. What
    the queryset knows of related objects is left to the caller."""
    fetch_mode = getattr(queryset, "_fetch_mode", None)
    if queryset._iterable_class is not ModelIterable or getattr(fetch_mode, "track_peers", False):
        return None
    annotations = tuple(
        (name, column, False) for name, column in (compiler.annotation_col_map or {}).items()
    )
    models: list[Any] = []
    maker = _maker(compiler.klass_info, compiler.select, db, fetch_mode, annotations, models)
    return Maker(maker, tuple(models))


def _maker(
    info: dict[str, Any], select: Any, db: str, fetch_mode: Any, annotations: Any, models: list[Any]
) -> _quintette.ModelMaker:
    model = info["model"]
    if model not in models:
        models.append(model)
    related = []
    for other in info.get("related_klass_infos", ()):
        fields = _fields(other, select)
        key = next(column for name, column in fields if name == _key(other["model"]))
        maker = _maker(other, select, db, fetch_mode, (), models)
        setters = _setter(other["local_setter"]), _setter(other["remote_setter"])
        related.append((maker, key, *setters))
    columns = tuple((name, at, _is_direct(model, name)) for name, at in _fields(info, select))
    return _quintette.ModelMaker(
        model, ModelState, db, fetch_mode, columns, tuple(related), annotations
    )


def _key(model: Any) -> str:
    keys = getattr(model._meta, "pk_fields", None)
    attname: str = (keys[0] if keys else model._meta.pk).attname
    return attname


def _fields(info: dict[str, Any], select: Any) -> list[tuple[str, int]]:
    """(attribute, column), as from_db() pairs them."""
    concrete = [field.attname for field in info["model"]._meta.concrete_fields]
    columns = info["select_fields"]
    if info.get("from_parent"):
        at = {select[column][0].target.attname: column for column in columns}
        return [(name, at[name]) for name in concrete if name in at]
    columns = range(columns[0], columns[-1] + 1)
    if len(columns) == len(concrete):
        return list(zip(concrete, columns, strict=True))
    loaded = {select[column][0].target.attname for column in columns}
    return list(zip((name for name in concrete if name in loaded), columns, strict=True))


def _setter(setter: Any) -> Any:
    """The name in fields_cache, where that is all it does."""
    if getattr(setter, "__func__", None) is _SET_CACHED:
        return setter.__self__.cache_name
    return setter


def _is_direct(model: Any, name: str) -> bool:
    return type(inspect.getattr_static(model, name, None)) in _DIRECT


# --- whose ways are they? ---------------------------------------------------------------


def _is_djangos() -> bool:
    return (
        _Model.__init__ is _INIT
        and getattr(_Model.from_db, "__func__", None) is _FROM_DB
        and base.ModelState is ModelState
        and FieldCacheMixin.set_cached_value is _SET_CACHED
        and ModelState.__init__ is _STATE_INIT
        and ModelIterable.__iter__ is _ITER
        and ModelSignal.send is _SEND
        and all(cls.__dict__.get("__set__") is was for cls, was in _SETTERS.items())
    )


def _leaves_it_to_django(model: Any) -> bool:
    return (
        model.__init__ is _INIT
        and type(model).__call__ is _CALL
        and getattr(model.from_db, "__func__", None) is _FROM_DB
        and model.__new__ is object.__new__
        and model.__setattr__ is object.__setattr__
        and not _mixes_in(model)
        and _is_silent(pre_init, model)
        and _is_silent(post_init, model)
    )


def _mixes_in(model: Any) -> bool:
    """Whether Model.__init__() would call another one, behind it in the order of classes."""
    return super(_Model, model).__init__ is not object.__init__


def _is_silent(signal: Any, model: Any) -> bool:
    if type(signal) is not ModelSignal or "send" in signal.__dict__:
        return False
    return not signal.receivers or not signal.has_listeners(model)
