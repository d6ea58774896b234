"""`@compiled`: a function that builds a queryset becomes a query that was built once."""

from __future__ import annotations

import threading
import typing
import weakref
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any, ParamSpec, TypeVar, overload

import msgspec
from django.db.models import QuerySet
from django.utils import timezone

from quintette import _quintette
from quintette.db.compiled import signature, tracing
from quintette.db.compiled.errors import CompileError, line_in, located
from quintette.db.compiled.explanation import explained
from quintette.db.compiled.placeholders import NeedsValue, Param, Parameter, Sum, Trace
from quintette.db.compiled.statement import Statement

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

# SQL texts kept per query: beyond, the oldest is given up.
VARIANTS_MAX = 128

queries: weakref.WeakSet[CompiledQuery[Any, Any]] = weakref.WeakSet()


class CompiledQuery(_quintette.Query[P, R]):
    """What `@compiled` makes of a function. Any thread may call it. Calling it gives a Pending:
    await it on a loop, get() its result elsewhere; .json(...) is the same as JSON."""

    def __init__(self, function: Callable[P, Any], shape: Any = None) -> None:
        self._function: Callable[..., Any] = function
        self._declared, self._returns = signature.read(function)
        update_wrapper(self, function)
        self._shape, self._wants = _shape_of(shape, self._returns)
        self._by_value: set[int] = set()  # parameters that the function looks at
        self._by_timezone = False
        self._lock = threading.RLock()
        super().__init__(
            tuple(declared.described() for declared in self._declared),
            self._validate,
            self._compile_for,
            VARIANTS_MAX,
        )
        queries.add(self)

    def __repr__(self) -> str:
        return f"{self._function.__name__}()"

    def __get__(self, instance: Any, owner: Any) -> CompiledQuery[P, R]:
        return self  # as a class's attribute it is a static method

    def explain(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The SQL for these arguments, what of it goes through Python and why, and the database's
        plan. Runs EXPLAIN on Django's connection."""
        pending = self(*args, **kwargs)
        statement: Statement = pending.statement.python
        return explained(statement, pending.arguments)

    def check(self) -> None:
        """Compiles the variant of the defaults, so that its errors come before the first call.
        Raises CompileError."""
        self._compile_for([declared.example() for declared in self._declared])

    def _validate(self, index: int, value: Any) -> Any:
        return self._declared[index].convert(value)

    # --- variants -------------------------------------------------------------------------

    def _compile_for(self, arguments: Sequence[Any]) -> _quintette.Statement:
        """The variant for these arguments. Raises CompileError."""
        with self._lock:
            for _ in range(len(self._declared) + 1):
                try:
                    statement = self._compile(arguments)
                except NeedsValue as needed:
                    self._by_value.add(needed.index)
                    self._vary(needed.index)
                    continue
                if statement.by_timezone and not self._by_timezone:
                    self._by_timezone = True
                    self._vary(-1, timezone.get_current_timezone_name)
                return statement.compiled()
        raise located(self._function, "its parameters are looked at without an end")

    def _compile(self, arguments: Sequence[Any]) -> Statement:
        trace = Trace()
        values = [
            argument
            if argument is None or declared.position in self._by_value
            else self._placeholder(declared, trace)
            for declared, argument in zip(self._declared, arguments, strict=True)
        ]
        args = [v for d, v in zip(self._declared, values, strict=True) if not d.keyword_only]
        kwargs = {d.name: v for d, v in zip(self._declared, values, strict=True) if d.keyword_only}
        try:
            result = tracing.trace(self._function, args, kwargs)
            if self._wants is not None and result.mode == tracing.LIST:
                result = result._replace(mode=self._wants)
            statement = Statement(result, trace, self._shape)
            statement.function = self._function
            return statement
        except Exception as error:
            if isinstance(error, NeedsValue):
                raise
            what = str(error) if isinstance(error, CompileError) else f"{error!r}"
            raise located(self._function, what, line_in(self._function, error)) from error

    def _placeholder(self, declared: signature.Declared, trace: Trace) -> Param:
        return Param(
            Parameter(
                declared.name,
                Sum.argument(declared.position),
                signature.field_of(declared),
                declared.kind,
                declared.few,
                declared.many,
                trace,
            )
        )


def _shape_of(shape: Any, returns: Any) -> tuple[Any, str | None]:
    """The shape, and what a queryset stands for where the annotated result is a single object."""
    if returns is signature.MISSING:
        return shape, None
    tp, optional = signature.without_none(returns)
    if typing.get_origin(tp) is list:
        inner = typing.get_args(tp)[0]
        is_struct = isinstance(inner, type) and issubclass(inner, msgspec.Struct)
        return (inner if shape is None and is_struct else shape), None
    if not isinstance(tp, type) or issubclass(tp, QuerySet):
        return shape, None
    if issubclass(tp, msgspec.Struct):
        return shape or tp, tracing.FIRST if optional else tracing.ONE
    return shape, None


@overload
def compiled(function: Callable[P, QuerySet[Any, S]], /) -> CompiledQuery[P, list[S]]: ...
@overload
def compiled(function: Callable[P, R], /) -> CompiledQuery[P, R]: ...
@overload
def compiled(
    *, shape: type[S]
) -> Callable[[Callable[P, QuerySet[Any, Any]]], CompiledQuery[P, list[S]]]: ...
def compiled(function: Any = None, /, *, shape: Any = None) -> Any:
    """Compiles the Django query that a function builds.

    The function is called once per variant with placeholders for its parameters; see
    docs/compiled.md. shape: a msgspec.Struct; rows become instances of it, and its fields say which
    columns are read.
    """
    if function is None:
        return lambda function: CompiledQuery(function, shape)
    return CompiledQuery(function, shape)
