"""The model's side: names to fields, relations to the keys that join them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, Model, Q
from django.db.models.expressions import Combinable, OuterRef, Subquery

from quintette.db.shapes.fieldtypes import value_field


class Step(NamedTuple):
    """One name of a path."""

    field: Any
    """Of the model, or a reverse relation."""
    is_key: bool
    """The name means the foreign key's column (``country_id``)."""

    @property
    def related(self) -> type[Model] | None:
        return None if self.is_key else getattr(self.field, "related_model", None)

    @property
    def to_many(self) -> bool:
        return bool(self.field.one_to_many or self.field.many_to_many)

    @property
    def nullable(self) -> bool:
        if self.field.auto_created and not self.field.concrete:  # the other end may not exist
            return True
        return bool(getattr(self.field, "null", False))

    @property
    def query_name(self) -> str:
        name: str = self.field.attname if self.is_key else self.field.name
        return name


def find(model: type[Model], name: str) -> Step | None:
    meta = model._meta
    if name == "pk":
        return Step(meta.pk, hasattr(meta.pk, "attname") and bool(meta.pk.is_relation))
    try:
        field: Any = meta.get_field(name)
    except FieldDoesNotExist:
        for relation in meta.related_objects:
            if relation.get_accessor_name() == name:
                return Step(relation, False)
        return None
    is_key = bool(field.is_relation) and field.name != name and field.concrete
    return Step(field, is_key)


def names_of(model: type[Model]) -> Iterator[str]:
    """What find() knows, for a message."""
    field: Any
    for field in model._meta.get_fields():
        if getattr(field, "hidden", False):
            continue
        if field.auto_created and not field.concrete:
            yield field.get_accessor_name() or field.name
            continue
        yield field.name
        if field.is_relation and getattr(field, "attname", None) and not field.many_to_many:
            yield field.attname


class Keys(NamedTuple):
    """How a relation's two ends find each other."""

    parent: str
    """The column of the one, from its model."""
    child: str
    """The path to the same value from the related model."""
    field: Any
    """Of the parent's column."""
    restrict: Callable[[Any, str], Any] | None = None
    convert: Callable[[Any], Any] | None = None


def keys_of(field: Any) -> Keys:
    if hasattr(field, "object_id_field_name"):
        return _generic_keys(field)
    if field.many_to_many:
        if not field.auto_created:
            target = field.m2m_target_field_name()
            model = field.model
            return Keys(target, f"{field.related_query_name()}__{target}", _value(model, target))
        target = field.field.m2m_reverse_target_field_name()
        return Keys(target, f"{field.field.name}__{target}", _value(field.model, target))
    if field.concrete:
        target = field.target_field
        return Keys(field.attname, target.attname, value_field(target))
    target = field.field.target_field
    return Keys(target.attname, field.field.attname, value_field(target))


def _value(model: type[Model], name: str) -> Any:
    return value_field(model._meta.get_field(name))


def _generic_keys(field: Any) -> Keys:
    """Of a GenericRelation. Its application may be imported once the registry is ready only."""
    from django.contrib.contenttypes.models import ContentType

    model = field.model
    content_type = f"{field.content_type_field_name}_id"

    def restrict(queryset: Any, using: str) -> Any:
        found = ContentType.objects.db_manager(using).get_for_model(
            model, for_concrete_model=field.for_concrete_model
        )
        return queryset.filter(**{content_type: found.pk})

    pk = model._meta.pk
    return Keys(pk.attname, field.object_id_field_name, value_field(pk), restrict, pk.to_python)


def is_generic_foreign_key(field: Any) -> bool:
    return bool(field.is_relation) and field.related_model is None


class CannotPrefixError(Exception):
    """The expression holds a query of its own."""


def prefixed(expr: Any, prefix: str) -> Any:
    """The expression, with its names taken from a related model: F("a") -> F("country__a")."""
    if not prefix:
        return expr
    if isinstance(expr, (OuterRef, Subquery)):
        raise CannotPrefixError
    if isinstance(expr, F):
        return F(prefix + str(vars(expr)["name"]))
    if isinstance(expr, Q):
        copy = expr.copy()
        copy.children = [
            (prefix + child[0], prefixed(child[1], prefix))
            if isinstance(child, tuple)
            else prefixed(child, prefix)
            for child in expr.children
        ]
        return copy
    sources = getattr(expr, "get_source_expressions", None)
    if sources is None:
        return expr
    if not isinstance(expr, Combinable) and not hasattr(expr, "copy"):
        raise CannotPrefixError
    copied: Any = expr.copy()
    copied.set_source_expressions([one and prefixed(one, prefix) for one in sources()])
    return copied
