"""What a queryset makes of its rows, in C: model instances, and the dicts of ``values()``."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django.db import models
from django.db.models.query import ModelIterable, QuerySet, ValuesIterable

from quintette._quintette import make_dicts
from quintette.db.makers import maker_of
from quintette.db.statements import SQLCompiler, Statement
from quintette.server.own import own_method

# Those with nothing of their own: None is of a Django that has no fetch modes.
_FETCH_MODES = tuple(getattr(models, name, None) for name in ("FETCH_ONE", "FETCH_RAISE"))
# Whether Django leaves related objects alone that it knows by a column which was not read; 5.2
# reads it.
_SPARES_DEFERRED = "rel_attnames" in ModelIterable.__iter__.__code__.co_varnames


def install() -> None:
    fetch_all = own_method(QuerySet, "_fetch_all")
    readers = {ModelIterable: _instances, ValuesIterable: _dicts}
    own = {cls: own_method(cls, "__iter__") for cls in readers}
    if fetch_all is not None and None not in own.values():
        QuerySet._fetch_all = _short(fetch_all, readers, own)  # type: ignore[method-assign]


def _short(
    djangos: Callable[..., None], readers: dict[Any, Any], own: dict[Any, Any]
) -> Callable[..., None]:
    # quintette.db.watch knows it by this name.
    def _fetch_all(self: Any) -> None:
        if self._result_cache is None:
            made = self._iterable_class
            read = readers.get(made)
            if read is not None and made.__iter__ is own[made]:
                self._result_cache = read(self)
        # What is left to be done: all, or to prefetch.
        djangos(self)

    return _fetch_all


def _dicts(queryset: Any) -> list[dict[str, Any]]:
    query = queryset.query
    compiler = query.get_compiler(queryset.db)
    if query.selected:
        names = tuple(query.selected)
    else:
        names = (*query.extra_select, *query.values_select, *query.annotation_select)
    return make_dicts(names, compiler.results_iter())


class _Routed:
    """A queryset whose database has been chosen. A router is asked once: it may take turns."""

    def __init__(self, queryset: Any, db: str) -> None:
        self.db = db
        self._queryset = queryset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queryset, name)


def _instances(queryset: Any) -> list[Any]:
    db = queryset.db
    compiler = queryset.query.get_compiler(using=db)
    statement = compiler.kept() if isinstance(compiler, SQLCompiler) else None
    maker = None if statement is None else _maker(queryset, compiler, statement, db)
    if maker is None or not maker.is_usable():
        return list(ModelIterable(_Routed(queryset, db)))  # type: ignore[arg-type]
    instances: list[Any] = maker.make_all(compiler.results_iter())
    if instances and queryset._known_related_objects:
        _relate(queryset, instances)
    return instances


def _maker(queryset: Any, compiler: Any, statement: Statement, db: str) -> Any:
    """Of all querysets with this SQL that fetch what is missing in the same way."""
    mode = getattr(queryset, "_fetch_mode", None)
    if not any(mode is known for known in _FETCH_MODES):
        return None
    key = db, mode
    try:
        return statement.makers[key]
    except KeyError:
        compiler.describe(statement)
        maker = statement.makers[key] = maker_of(queryset, compiler, db)
        return maker


def _relate(queryset: Any, instances: list[Any]) -> None:
    """Gives them the objects that the queryset came from, or knows besides."""
    options = queryset.model._meta
    for field, known in queryset._known_related_objects.items():
        names = [
            field.attname if name == "self" else options.get_field(name).attname
            for name in field.from_fields
        ]
        key_of = attrgetter(*names)
        for instance in instances:
            if field.is_cached(instance):
                continue
            if _SPARES_DEFERRED and not instance.__dict__.keys() >= set(names):
                continue
            related = known.get(key_of(instance))
            if related is not None:
                setattr(instance, field.name, related)
