"""Creating and updating instances from validated input."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import router, transaction
from django.db.models import Model

from quintette.api import types
from quintette.db.shapes import declared, relations
from quintette.db.shapes.declaration import PLAIN
from quintette.db.shapes.errors import refuse


class Target(NamedTuple):
    """Where a field of a shape goes."""

    name: str
    """Of the shape's field: what errors are about."""
    field: Any
    shape: Any
    """Of a nested object, whose fields are the key of what it means."""
    many: bool


class Written(NamedTuple):
    attributes: dict[str, Any]
    """By attname, or by the name of the model's field."""
    relations: list[tuple[Target, list[Any]]]
    """Many-to-many: the instances or keys."""
    names: dict[str, str]
    """The model's field -> the shape's, for messages."""


def alias_for(shape: Any, instance: Any, using: str | None) -> str:
    """Of the database that is written to: the instance's own, else the router's."""
    if using is not None:
        return using
    if instance is not None and instance._state.db is not None:
        return str(instance._state.db)
    hints = {} if instance is None else {"instance": instance}
    return str(router.db_for_write(declared.model_of(shape), **hints))


def create(shape: Any, full_clean: bool, using: str | None, more: Mapping[str, Any]) -> Any:
    model = declared.model_of(type(shape))
    using = alias_for(type(shape), None, using)
    with transaction.atomic(using=using):
        written = _read(shape, using)
        instance = model()
        instance._state.db = using
        _set(instance, written.attributes, more)
        if full_clean:
            _clean(instance, written, None)
        instance.save(using=using, force_insert=True)
        _set_many(instance, written)
    return instance


def update(shape: Any, instance: Any, full_clean: bool, more: Mapping[str, Any]) -> Any:
    using = alias_for(type(shape), instance, None)
    with transaction.atomic(using=using):
        written = _apply(shape, instance, more, using)
        names = {instance._meta.get_field(name).name for name in (*written.attributes, *more)}
        if full_clean:
            _clean(instance, written, names)
        if names:
            # As save() without update_fields writes them.
            names |= {one.name for one in instance._meta.fields if getattr(one, "auto_now", False)}
            instance.save(using=using, update_fields=names)
        _set_many(instance, written)
    return instance


def apply(shape: Any, instance: Any, more: Mapping[str, Any]) -> None:
    using = alias_for(type(shape), instance, None)
    _apply(shape, instance, more, using)


def _apply(shape: Any, instance: Any, more: Mapping[str, Any], using: str) -> Written:
    model = declared.model_of(type(shape))
    if not isinstance(instance, model):
        raise TypeError(
            f"{type(shape).__name__} writes {model.__name__}, not {type(instance).__name__}"
        )
    written = _read(shape, using)
    pk = instance._meta.pk
    for name in {pk.name, pk.attname} & written.attributes.keys():
        del written.attributes[name]
    _set(instance, written.attributes, more)
    return written


def _set(instance: Any, attributes: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        setattr(instance, name, value)
    for name, value in more.items():
        instance._meta.get_field(name)  # a name that is none would be set without a word
        setattr(instance, name, value)


def _set_many(instance: Any, written: Written) -> None:
    for target, values in written.relations:
        getattr(instance, target.field.name).set(values)


# --- where fields go --------------------------------------------------------------------


def _targets(shape: Any) -> list[Target]:
    """Raises ShapeError for what cannot be written."""
    known: list[Target] | None = vars(shape).get("__shape_targets__")
    if known is None:
        model = declared.model_of(shape)
        known = [
            target
            for info in declared.fields_of(shape)
            if (target := _target(shape, info, model)) is not None
        ]
        shape.__shape_targets__ = known
    return known


def _target(shape: Any, info: Any, model: type[Model]) -> Target | None:
    options = shape.__shape_options__.get(info.name, PLAIN)
    if info.name in shape.__shape_computed__ or not options.from_model:
        return None
    if options.expr is not None or options.annotated:
        refuse(shape, info.name, "is made by the database: it can be read only")
    source = options.source or info.name
    step = relations.find(model, source)
    if step is None:
        refuse(shape, info.name, f"{source!r} is no field of {model.__name__}: it can be read only")
    field = step.field
    if field.auto_created and not field.concrete:
        refuse(shape, info.name, "is the other end of a relation: it can be read only")
    if field.many_to_many and not field.remote_field.through._meta.auto_created:
        through = field.remote_field.through.__name__
        refuse(shape, info.name, f"goes through {through}: create those instead")
    if not (field.concrete or field.many_to_many) or getattr(field, "generated", False):
        refuse(shape, info.name, f"{type(field).__name__} can be read only")
    inner, _ = types.without_none(declared.without_unset(info.type))
    listed = types.list_of(inner)
    item = listed[1] if listed and field.many_to_many else inner
    nested = types.class_of(item) if declared.is_shape(item) else None
    if nested is not None:
        _check_key(shape, info.name, nested)
    return Target(info.name, field, nested, bool(field.many_to_many))


def _check_key(shape: Any, name: str, nested: Any) -> None:
    """A nested object names an existing one: by its primary key or another unique field."""
    for target in _targets(nested):
        if target.field.primary_key or getattr(target.field, "unique", False):
            return
    refuse(
        shape,
        name,
        f"{nested.__name__} has no unique field of {declared.model_of(nested).__name__} by which "
        f"the one that it means is found",
    )


# --- values -----------------------------------------------------------------------------


def _read(shape: Any, using: str) -> Written:
    written = Written({}, [], {})
    errors: dict[str, list[Any]] = {}
    for target in _targets(type(shape)):
        value = getattr(shape, target.name)
        if value is msgspec.UNSET:
            continue
        written.names[target.field.name] = target.name
        try:
            if target.many:
                written.relations.append((target, _found(target, value, using)))
            elif target.shape is not None:
                found = None if value is None else _found(target, [value], using)[0]
                written.attributes[target.field.name] = found
            else:
                written.attributes[target.field.attname] = _plain(value)
        except ValidationError as error:
            errors.setdefault(target.name, []).extend(error.error_list)
    if errors:
        raise ValidationError(errors)
    return written


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


def _found(target: Target, values: Iterable[Any], using: str) -> list[Any]:
    """The instances that keys or nested objects mean, in one query. Raises ValidationError."""
    related: Any = target.field.related_model
    values = list(values)
    if target.shape is None:
        path, keys = "pk", [_plain(value) for value in values]
        nested: list[Any] = []
    else:
        nested = [_plain_key(one) for one in values]
        path, keys = _shared_key(target, nested)
    queryset = related._default_manager.using(using).filter(**{f"{path}__in": keys})
    by_key: dict[Any, Any] = {}
    for instance in queryset:
        by_key[instance.pk if path == "pk" else getattr(instance, path)] = instance
    missing = [key for key in keys if key not in by_key]
    for position, given in enumerate(nested):
        instance = by_key.get(keys[position])
        if instance is not None and any(
            getattr(instance, name) != value for name, value in given.items()
        ):
            missing.append(keys[position])
    if missing:
        names = ", ".join(str(one) for one in dict.fromkeys(missing))
        raise ValidationError(
            f"There is no {related._meta.verbose_name}: {names}", code="does_not_exist"
        )
    return [by_key[key] for key in keys]


def _plain_key(nested: Any) -> dict[str, Any]:
    """A nested object's fields, by those of its model."""
    found = {}
    for target in _targets(type(nested)):
        value = getattr(nested, target.name)
        if value is not msgspec.UNSET and target.shape is None and not target.many:
            found[target.field.attname] = _plain(value)
    return found


def _shared_key(target: Target, nested: list[dict[str, Any]]) -> tuple[str, list[Any]]:
    """The unique field by which all of them are found: the primary key rather than another."""
    fields = [one.field for one in _targets(target.shape)]
    fields.sort(key=lambda field: not field.primary_key)
    for field in fields:
        if getattr(field, "unique", False) and all(
            one.get(field.attname) is not None for one in nested
        ):
            return field.attname, [one[field.attname] for one in nested]
    raise ValidationError("Its key is missing", code="required")


# --- validation -------------------------------------------------------------------------


def _clean(instance: Any, written: Written, names: set[str] | None) -> None:
    """``names``: the fields that were written; what others hold is no matter of this input, but
    uniqueness and constraints are checked with them. None: all."""
    try:
        if names is None:
            instance.full_clean()
            return
        errors: dict[str, list[Any]] = {}
        others = {field.name for field in instance._meta.fields} - names
        for check in (
            lambda: instance.clean_fields(exclude=others),
            instance.clean,
            instance.validate_unique,
            instance.validate_constraints,
        ):
            try:
                check()
            except ValidationError as error:
                error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)
    except ValidationError as error:
        raise ValidationError(
            {
                written.names.get(name, name) if name != NON_FIELD_ERRORS else name: found
                for name, found in error.error_dict.items()
            }
        ) from None
