"""A function's parameters: which of the request's values each one is. Import time only."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import msgspec
from asgiref.sync import iscoroutinefunction
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest

from quintette.api import types
from quintette.api.after import AfterResponse
from quintette.api.bodies import is_body_stream
from quintette.api.errors import RegistrationError
from quintette.api.markers import (
    MARKER_FUNCTIONS,
    MISSING,
    Dependency,
    Marker,
    Source,
)
from quintette.api.websockets import is_socket

F = TypeVar("F", bound=Callable[..., Any])

# Without a marker an object is the body of these.
BODY_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE", "QUERY"})
_IN_LOOP = "quintette_in_loop"


def in_loop(function: F) -> F:
    """Marks a ``def`` that neither blocks nor waits: it is called on the event loop instead of in a
    thread."""
    if is_async(function):
        raise RegistrationError(f"{function.__qualname__} is `async def`: it runs in the loop")
    setattr(function, _IN_LOOP, True)
    return function


def is_async(function: Any) -> bool:
    """Whether a call gives a coroutine, however the function is wrapped."""
    inner = inspect.unwrap(function)
    if not inspect.isroutine(inner) and not isinstance(inner, type):
        inner = getattr(type(inner), "__call__", inner)  # noqa: B004
    return iscoroutinefunction(function) or iscoroutinefunction(inner)


def is_in_loop(function: Any) -> bool:
    return bool(getattr(function, _IN_LOOP, False)) or isinstance(function, type)


@dataclass
class Parameter:
    name: str
    source: Source
    type: Any
    """With its constraints, without its marker."""
    default: Any
    marker: Marker | None
    keyword_only: bool

    @property
    def key(self) -> str:
        """The name that clients use."""
        if self.marker is not None and self.marker.alias:
            return self.marker.alias
        return self.name.replace("_", "-") if self.source is Source.HEADER else self.name

    @property
    def description(self) -> str | None:
        return self.marker.description if self.marker else None


@dataclass
class Signature:
    function: Callable[..., Any]
    parameters: list[Parameter] = field(default_factory=list)
    dependencies: dict[str, Dependency] = field(default_factory=dict)
    """By the name of the parameter that takes the result."""
    keyword_only: set[str] = field(default_factory=set)
    order: list[str] = field(default_factory=list)
    """Names of all parameters as they stand in the function."""
    result: Any = MISSING


def place_of(function: Any) -> str:
    """What an error of registration begins with: the function and where it stands."""
    target = inspect.unwrap(function)
    name = getattr(target, "__qualname__", None)
    if name is None:
        return repr(target)
    code = getattr(target, "__code__", None)
    if code is None:
        return f"{getattr(target, '__module__', '?')}.{name}"
    return f"{target.__module__}.{name} ({code.co_filename}:{code.co_firstlineno})"


def refuse(function: Any, parameter: str, message: str) -> NoReturn:
    about = f"parameter {parameter!r}: " if parameter else ""
    raise RegistrationError(f"{place_of(function)}: {about}{message}")


def read(
    function: Any,
    path_names: frozenset[str],
    methods: frozenset[str],
    scope: dict[str, Any] | None = None,
) -> Signature:
    """``scope`` holds the names around a function that is defined inside another one."""
    hints = _hints_of(function, scope)
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        refuse(function, "", f"has no signature: {error}")
    signature = Signature(function, result=hints.get("return", MISSING))
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            refuse(function, name, "*args and **kwargs cannot be filled from a request")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            refuse(function, name, "positional-only parameters have no name to look for")
        signature.order.append(name)
        keyword_only = parameter.kind is parameter.KEYWORD_ONLY
        if keyword_only:
            signature.keyword_only.add(name)
        annotation = hints.get(name, MISSING)
        default = MISSING if parameter.default is parameter.empty else parameter.default
        marker, annotation = _marker_of(function, name, annotation)
        if isinstance(default, (Marker, Dependency)):
            if marker is not None:
                refuse(function, name, "is marked twice")
            marker = default
            default = default.default if isinstance(default, Marker) else MISSING
        elif isinstance(marker, Marker) and marker.default is not MISSING:
            refuse(function, name, "has its default in the marker: write it behind the `=`")
        if isinstance(marker, Dependency):
            signature.dependencies[name] = _complete(function, name, marker, annotation)
            continue
        signature.parameters.append(
            _parameter(
                function, name, annotation, default, marker, keyword_only, path_names, methods
            )
        )
    return signature


def _hints_of(function: Any, scope: dict[str, Any] | None) -> dict[str, Any]:
    target = inspect.unwrap(function)
    if isinstance(target, type):
        target = vars(target).get("__init__", target)
    elif not inspect.isroutine(target):
        target = getattr(type(target), "__call__", target)  # noqa: B004
    try:
        try:
            return typing.get_type_hints(target, include_extras=True)
        except NameError:
            if not scope:
                raise
            return typing.get_type_hints(target, localns=scope, include_extras=True)
    except NameError as error:
        refuse(
            function,
            "",
            f"{error}; annotations are read when the route is registered, so what they name must "
            f"be imported before it, and not only `if TYPE_CHECKING`",
        )
    except TypeError as error:
        refuse(function, "", str(error))


def _marker_of(function: Any, name: str, annotation: Any) -> tuple[Marker | Dependency | None, Any]:
    """Takes the marker out of an annotation."""
    if annotation is MISSING:
        return None, MISSING
    inner, metadata = types.split(annotation)
    marker: Marker | Dependency | None = None
    kept = []
    for item in metadata:
        found = _as_marker(item)
        if found is None:
            kept.append(item)
        elif marker is not None:
            refuse(function, name, "is marked twice")
        else:
            marker = found
    return marker, types.annotated(inner, tuple(kept))


def _as_marker(item: Any) -> Marker | Dependency | None:
    if isinstance(item, (Marker, Dependency)):
        return item
    try:
        bare = MARKER_FUNCTIONS.get(item)
    except TypeError:
        return None
    return bare() if bare else None


def _complete(function: Any, name: str, dependency: Dependency, annotation: Any) -> Dependency:
    """``Annotated[Pager, Depends()]`` depends on the class."""
    if dependency.call is not None:
        return dependency
    cls = types.strip(annotation)
    if not isinstance(cls, type):
        refuse(function, name, "Depends() without a function needs a class as its annotation")
    return Dependency(cls, dependency.use_cache)


def _parameter(
    function: Any,
    name: str,
    annotation: Any,
    default: Any,
    marker: Marker | None,
    keyword_only: bool,
    path_names: frozenset[str],
    methods: frozenset[str],
) -> Parameter:
    if marker is not None:
        source = marker.source
    elif annotation is not MISSING and is_socket(annotation):
        source = Source.SOCKET
    elif types.class_of(annotation) is AfterResponse:
        source = Source.AFTER
    elif _is_request(name, annotation):
        source = Source.REQUEST
    elif name in path_names:
        source = Source.PATH
    elif annotation is not MISSING and _is_file(annotation):
        source = Source.FILE
    elif annotation is not MISSING and (
        is_body_stream(annotation) or types.contains_object(annotation)
    ):
        if not methods & BODY_METHODS:
            refuse(
                function,
                name,
                f"{types.name_of(annotation)} would be the body, which {'/'.join(sorted(methods))} "
                f"has not; mark it with Query(), Header(), Cookie(), Form() or Body()",
            )
        source = Source.BODY
    else:
        source = Source.QUERY
    if source is Source.PATH and default is not MISSING:
        refuse(function, name, "a piece of the path has no default")
    if source is Source.AUTH and default is MISSING and types.without_none(annotation)[1]:
        default = None  # nobody
    tp = str if annotation is MISSING else annotation
    if marker is not None:
        tp = _constrain(function, name, tp, marker)
    return Parameter(name, source, tp, default, marker, keyword_only)


def _constrain(function: Any, name: str, tp: Any, marker: Marker) -> Any:
    meta = marker.meta()
    if meta is None:
        return tp
    # Constraints mean the value, not the absence of one.
    inner, optional = types.without_none(tp)
    constrained = types.annotated(types.strip(inner), (*types.split(inner)[1], meta))
    try:
        msgspec.json.Decoder(constrained)
    except TypeError as error:
        refuse(function, name, str(error))
    return typing.Optional[constrained] if optional else constrained  # noqa: UP045


def _is_request(name: str, annotation: Any) -> bool:
    if name == "request":
        return True
    cls = types.class_of(annotation)
    return isinstance(cls, type) and issubclass(cls, HttpRequest)


def _is_file(annotation: Any) -> bool:
    inner, _ = types.without_none(annotation)
    listed = types.list_of(inner)
    cls = types.class_of(listed[1] if listed else inner)
    return isinstance(cls, type) and issubclass(cls, UploadedFile)
