"""What a class statement says: options of fields, computed fields, the model. No model is looked
at here; see binding.py."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import msgspec
from django.db.models import Model, QuerySet

from quintette.db.shapes.errors import Place, ShapeError

if TYPE_CHECKING:
    from msgspec import StructMeta
else:
    StructMeta = type(msgspec.Struct)  # it has a public name since msgspec 0.20 only

if sys.version_info >= (3, 14):
    import annotationlib

T = TypeVar("T")

DEPTH_MAX = 16
"""Levels of nesting that a shape may have, and the most that field(depth=) takes."""

registry: weakref.WeakSet[type] = weakref.WeakSet()
"""Every shape with a model, for the system check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What field() was told."""

    source: str | None = None
    expr: Any = None
    queryset: Callable[[Any], QuerySet[Any]] | None = None
    depth: int | None = None
    annotated: bool = False
    from_model: bool = True
    name: str | None = None
    default: Any = msgspec.NODEFAULT
    default_factory: Any = msgspec.NODEFAULT

    def for_msgspec(self) -> Any:
        """The default as msgspec takes it; NODEFAULT where a bare annotation says the same."""
        given = {
            key: value
            for key in ("default", "default_factory")
            if (value := getattr(self, key)) is not msgspec.NODEFAULT
        }
        if self.name is not None:
            given["name"] = self.name
        return msgspec.field(**given) if given else msgspec.NODEFAULT


PLAIN = Options()


@overload
def field(
    *,
    default: T,
    name: str | None = None,
    source: str | None = None,
    expr: Any = None,
    queryset: Callable[[Any], QuerySet[Any]] | None = None,
    depth: int | None = None,
    annotated: bool = False,
    from_model: bool = True,
) -> T: ...
@overload
def field(
    *,
    default_factory: Callable[[], T],
    name: str | None = None,
    source: str | None = None,
    expr: Any = None,
    queryset: Callable[[Any], QuerySet[Any]] | None = None,
    depth: int | None = None,
    annotated: bool = False,
    from_model: bool = True,
) -> T: ...
@overload
def field(
    *,
    name: str | None = None,
    source: str | None = None,
    expr: Any = None,
    queryset: Callable[[Any], QuerySet[Any]] | None = None,
    depth: int | None = None,
    annotated: bool = False,
    from_model: bool = True,
) -> Any: ...
def field(**given: Any) -> Any:
    """A field of a shape that is more than its annotation.

    ``source``: the model's field, or a path to it (``"country__name"``), when it is not the name.
    ``expr``: a Django expression over the shape's model, computed by the database.
    ``annotated``: the query set brings it as an annotation of that name (or of ``source``).
    ``queryset``: for relations: a function that filters, orders and slices the related query set;
    a slice counts for each parent.
    ``depth``: for a shape within itself: how often this field is followed.
    ``from_model``: False for what the model does not have; it is left at its default.
    ``name``, ``default``, ``default_factory``: as in ``msgspec.field``.
    """
    options = Options(**given)
    sources = [key for key in ("source", "expr") if getattr(options, key) is not None]
    if len(sources) > 1:
        raise TypeError("field() takes `source` or `expr`, not both")
    if not options.from_model and (sources or options.annotated or options.queryset):
        raise TypeError("field(from_model=False) has nothing to read")
    if options.depth is not None and not 1 <= options.depth <= DEPTH_MAX:
        raise TypeError(f"field(depth=) is between 1 and {DEPTH_MAX}")
    return options


class computed(Generic[T]):  # noqa: N801  # reads like property
    """A field made of the others, in Python::

        @computed
        def label(self) -> str:
            return f"{self.name} ({self.population})"

    It is computed once, when the object is made, and is part of its JSON.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: type | None = None) -> T: ...


class ShapeMeta(StructMeta):
    """Takes what is ours out of a class statement; the rest is msgspec's."""

    __shape_model__: type[Model] | str | None
    __shape_options__: dict[str, Options]
    __shape_computed__: dict[str, Callable[[Any], Any]]
    __shape_place__: Place
    __shape_bound__: Any

    def __new__(  # noqa: PYI034  # a metaclass has no Self
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        /,
        *,
        model: type[Model] | str | None = None,
        **config: Any,
    ) -> ShapeMeta:
        options = {key: value for key, value in namespace.items() if isinstance(value, Options)}
        own = {key: value for key, value in namespace.items() if isinstance(value, computed)}
        for key, value in options.items():
            plain = value.for_msgspec()
            if plain is msgspec.NODEFAULT:
                del namespace[key]
            else:
                namespace[key] = plain
        inherited = _inherited(bases)
        functions = inherited.computed | {key: value.function for key, value in own.items()}
        _declare(name, namespace, own)
        if functions:
            namespace["__post_init__"] = _post_init(functions, namespace, bases)
        cls = super().__new__(mcls, name, bases, namespace, **config)
        frame = sys._getframe(1)
        cls.__shape_place__ = Place(frame.f_code.co_filename, frame.f_lineno)
        cls.__shape_options__ = inherited.options | options
        cls.__shape_computed__ = functions
        cls.__shape_model__ = inherited.model if model is None else model
        cls.__shape_bound__ = None
        if cls.__shape_model__ is not None:
            registry.add(cls)
        return cls

    def __init__(
        cls,  # noqa: N805  # this is a metaclass
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        /,
        **config: Any,
    ) -> None:
        config.pop("model", None)
        super().__init__(name, bases, namespace, **config)
        if cls.__shape_model__ is not None:
            from quintette.db.shapes import checks

            checks.check_at_declaration(cls)


class _Inherited:
    def __init__(self) -> None:
        self.options: dict[str, Options] = {}
        self.computed: dict[str, Callable[[Any], Any]] = {}
        self.model: type[Model] | str | None = None


def _inherited(bases: tuple[type, ...]) -> _Inherited:
    found = _Inherited()
    for base in reversed(bases):
        if isinstance(base, ShapeMeta):
            found.options |= base.__shape_options__
            found.computed |= base.__shape_computed__
            found.model = base.__shape_model__ or found.model
    return found


def _declare(name: str, namespace: dict[str, Any], own: dict[str, computed[Any]]) -> None:
    """Makes fields of computed ones, behind the others: as they have a default, none is passed."""
    added: dict[str, Any] = {}
    for key, value in own.items():
        hints = dict(value.function.__annotations__)
        if "return" not in hints:
            raise ShapeError(f"{name}.{key}: a computed field says its type: def {key}(self) -> T")
        added[key] = hints["return"]
        namespace[key] = msgspec.field(default=msgspec.UNSET)
    if not added:
        return
    if sys.version_info >= (3, 14) and "__annotations__" not in namespace:
        annotate = annotationlib.get_annotate_from_class_namespace(namespace)

        def both(format: Any) -> dict[str, Any]:
            given = annotationlib.call_annotate_function(annotate, format) if annotate else {}
            return {**given, **added}

        namespace["__annotate_func__"] = both
        return
    namespace["__annotations__"] = {**namespace.get("__annotations__", {}), **added}


def _post_init(
    functions: dict[str, Callable[[Any], Any]], namespace: dict[str, Any], bases: tuple[type, ...]
) -> Callable[[Any], None]:
    given: Any = namespace.get("__post_init__")
    if given is None:
        inherited = (getattr(base, "__post_init__", None) for base in bases)
        given = next((one for one in inherited if one is not None), None)
        given = getattr(given, "before_computed", given)

    def __post_init__(self: Any) -> None:  # noqa: N807
        if given is not None:
            given(self)
        for key, function in functions.items():
            msgspec.structs.force_setattr(self, key, function(self))

    __post_init__.before_computed = given  # type: ignore[attr-defined]
    return __post_init__
