"""What to do about a query in a loop, from the stack that makes it."""

from __future__ import annotations

from types import FrameType
from typing import Any, NamedTuple

from django.db.models import Model, QuerySet

from quintette.db.watch import lines

# Looked at, of what the query set's own methods are called.
_EVALUATING = frozenset(
    f"QuerySet.{name}"
    for name in ("_fetch_all", "_iterator", "aggregate", "count", "exists", "get", "iterator")
) | {"_short.<locals>._fetch_all"}  # of quintette.db.shortcuts.rows
_WRITES = {
    "INSERT": "collect the objects and write them with bulk_create()",
    "UPDATE": "collect the objects and write them with bulk_update(), or by one update() of a"
    " filtered query set",
    "DELETE": "delete them by one delete() of a filtered query set",
}


class Fix(NamedTuple):
    relation: str
    """What is read one by one: ``City.country``, a model, or nothing."""
    advice: str


def find(sql: str, frame: FrameType | None) -> Fix | None:
    """frame: the innermost of the stack that asks. The line of the project ends the search."""
    queryset: Any = None
    asked = ""
    for at in lines.frames(frame):
        code = at.f_code
        if lines.kind_of(code.co_filename) == lines.PROJECT:
            break
        fix = _of_access(code.co_qualname, at)
        if fix is not None:
            return fix
        if queryset is None and code.co_qualname in _EVALUATING:
            queryset = at.f_locals.get("self")
            asked = code.co_name
    verb = sql.split(maxsplit=1)[0].upper() if sql.strip() else ""
    if verb in _WRITES:
        return Fix("", _WRITES[verb])
    if isinstance(queryset, QuerySet):
        return _of_query_set(queryset, asked)
    return None


def of_compiled(name: str) -> Fix:
    return Fix(
        "",
        f"call {name}() once, with a list as parameter (`field__in=`) or with a Shape that has the"
        " related objects",
    )


# --- attributes of instances ------------------------------------------------------------


def _of_access(qualname: str, frame: FrameType) -> Fix | None:
    owner, _, method = qualname.rpartition(".")
    descriptor = owner.rpartition(".")[2]
    if method == "__get__" and descriptor in _DESCRIPTORS:
        values = frame.f_locals
        instance = values.get("instance")
        if isinstance(instance, Model):
            fix: Fix = _DESCRIPTORS[descriptor](values["self"], instance)
            return fix
    if method in ("count", "exists") and descriptor == "ManyRelatedManager":
        manager = frame.f_locals["self"]
        return _many(manager.instance, manager.prefetch_cache_name, method)
    return None


def _one(instance: Model, name: str) -> Fix:
    model = type(instance).__name__
    return Fix(
        f"{model}.{name}",
        f'add select_related("{name}") to the query set that gives the {model} objects,'
        f" or read them as a Shape with {name}",
    )


def _generic(instance: Model, name: str) -> Fix:
    model = type(instance).__name__
    return Fix(
        f"{model}.{name}",
        f'add prefetch_related("{name}") to the query set that gives the {model} objects',
    )


def _deferred(instance: Model, name: str) -> Fix:
    model = type(instance).__name__
    return Fix(
        f"{model}.{name}",
        f'{name} was left out by only() or defer(): add "{name}" to only(), or take it out of'
        f" defer(), in the query set that gives the {model} objects",
    )


_DESCRIPTORS: dict[str, Any] = {
    "ForwardManyToOneDescriptor": lambda self, instance: _one(instance, self.field.name),
    "ReverseOneToOneDescriptor": lambda self, instance: _one(
        instance, self.related.get_accessor_name()
    ),
    "DeferredAttribute": lambda self, instance: _deferred(instance, self.field.name),
    "GenericForeignKey": lambda self, instance: _generic(instance, self.name),
    "GenericForeignKeyDescriptor": lambda self, instance: _generic(instance, self.field.name),
}


# --- query sets -------------------------------------------------------------------------


def _of_query_set(queryset: QuerySet[Any], asked: str) -> Fix:
    instance = queryset._hints.get("instance")  # type: ignore[attr-defined]
    if isinstance(instance, Model):
        name = _accessor(queryset, instance)
        if name is not None:
            how = "filter"
            if asked in ("count", "exists"):
                how = asked
            elif _is_all_of(queryset, instance, name):
                how = ""
            return _many(instance, name, how)
    model = queryset.model.__name__
    return Fix(
        model,
        f"read them at once before the loop: {model}.objects.in_bulk(keys), or filter(...__in=...)",
    )


def _many(instance: Model, name: str, how: str) -> Fix:
    """how: what is asked of the related objects: "", "filter", "count" or "exists"."""
    model = type(instance).__name__
    if how == "filter":
        advice = (
            f'add prefetch_related(Prefetch("{name}", queryset=..., to_attr=...)) with this filter'
            f" to the query set that gives the {model} objects: what filters or orders a related"
            " manager asks anew, prefetched or not"
        )
    else:
        advice = (
            f'add prefetch_related("{name}") to the query set that gives the {model} objects,'
            f" or read them as a Shape with {name}"
        )
    if how == "count":
        advice = f'annotate the query set that gives the {model} objects with Count("{name}")'
    elif how == "exists":
        advice = (
            f"annotate the query set that gives the {model} objects with Exists(...), or"
            f' add prefetch_related("{name}")'
        )
    return Fix(f"{model}.{name}", advice)


def _accessor(queryset: Any, instance: Model) -> str | None:
    """The attribute of the instance whose manager has made the query set."""
    for field in queryset._known_related_objects:
        if isinstance(instance, field.remote_field.model):
            return str(field.remote_field.get_accessor_name())
    tables = {join.table_name for join in queryset.query.alias_map.values()}
    meta: Any = instance._meta
    for field in meta.many_to_many:
        if (
            field.related_model is queryset.model
            and field.remote_field.through._meta.db_table in tables
        ):
            return str(field.name)
    for relation in meta.related_objects:
        if (
            relation.many_to_many
            and relation.related_model is queryset.model
            and relation.through._meta.db_table in tables
        ):
            return str(relation.get_accessor_name())
    for field in meta.private_fields:
        if field.one_to_many and field.related_model is queryset.model:
            return str(field.name)
    return None


def _is_all_of(queryset: Any, instance: Model, name: str) -> bool:
    """Is it what the manager's all() gives, which prefetch_related() reads beforehand?"""
    every = getattr(instance, name).all()
    return str(every.query) == str(queryset.query)
