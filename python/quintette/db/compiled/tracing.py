"""Calls the function once, with placeholders, and keeps what it would have run."""

from __future__ import annotations

import dis
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from django.db import connections
from django.db.models import Manager, QuerySet
from django.db.models.sql.compiler import (
    SQLDeleteCompiler,
    SQLInsertCompiler,
    SQLUpdateCompiler,
)

from quintette.db.compiled.errors import CompileError

# What a call gives.
LIST: Final = "list"
ONE: Final = "one"  # get(): one row, or DoesNotExist, or MultipleObjectsReturned
FIRST: Final = "first"  # first(), last(): one row or None
COUNT: Final = "count"
EXISTS: Final = "exists"
AGGREGATE: Final = "aggregate"

_METHODS: dict[Any, str] = {
    QuerySet.get.__code__: ONE,
    QuerySet.earliest.__code__: ONE,
    QuerySet.latest.__code__: ONE,
    QuerySet.first.__code__: FIRST,
    QuerySet.last.__code__: FIRST,
    QuerySet.count.__code__: COUNT,
    QuerySet.exists.__code__: EXISTS,
    QuerySet.aggregate.__code__: AGGREGATE,
}
# Modules whose frames stand between a function and its query.
_EVALUATING = "django.", "quintette.db."


class Result(NamedTuple):
    mode: str
    queryset: QuerySet[Any] | None  # None: of count, exists, aggregate
    compiler: Any  # of those; else None


class _Captured(BaseException):
    """A statement was about to run."""

    def __init__(self, compiler: Any) -> None:
        super().__init__("a query ran")
        self.compiler = compiler


class _Capturing:
    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        raise _Captured(self)


@contextmanager
def _capturing() -> Iterator[None]:
    """Nothing that Django compiles in this thread is run."""
    patched = []
    try:
        for connection in connections.all():
            original = connection.ops.compiler

            def compiler(name: str, original: Callable[[str], type] = original) -> type:
                cls = original(name)
                return type(cls.__name__, (_Capturing, cls), {"__module__": cls.__module__})

            connection.ops.compiler = compiler  # type: ignore[method-assign, assignment]
            patched.append(connection.ops)
        yield
    finally:
        for operations in patched:
            del operations.compiler


def trace(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Result:
    """Raises CompileError, NeedsValue, or whatever the function raises."""
    with _capturing():
        try:
            result = function(*args, **kwargs)
        except _Captured as captured:
            return _of_capture(function, captured)
    if isinstance(result, Manager):
        result = result.all()
    if isinstance(result, QuerySet):
        return Result(LIST, result, None)
    raise CompileError(
        f"it returned {type(result).__name__}: return a queryset, or the outcome of its get(), "
        f"first(), count(), exists() or aggregate()"
    )


def _of_capture(function: Callable[..., Any], captured: _Captured) -> Result:
    if isinstance(captured.compiler, (SQLInsertCompiler, SQLUpdateCompiler, SQLDeleteCompiler)):
        raise CompileError("it writes: only reading queries are compiled")
    mode, queryset = None, None
    traceback = captured.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if not frame.f_globals.get("__name__", "").startswith(_EVALUATING):
            _require_return(frame.f_code, traceback.tb_lasti)
        elif frame.f_code.co_name == "_fetch_all":
            queryset = frame.f_locals["self"]
        mode = mode or _METHODS.get(frame.f_code)
        traceback = traceback.tb_next
    if mode is None:
        raise CompileError("it runs a query of its own: return the queryset itself")
    if mode in (ONE, FIRST):
        if queryset is None:
            raise CompileError(f"{mode}() cannot be compiled here: return the queryset itself")
        return Result(mode, queryset, None)
    return Result(mode, None, captured.compiler)


def _require_return(code: types.CodeType, last: int) -> None:
    """The outcome of the call at `last` must be what is returned, untouched."""
    # In 3.11 `last` may be in the inline cache of the call, which is no instruction of its own.
    for instruction in dis.get_instructions(code):
        if instruction.offset <= last or instruction.opname in ("CACHE", "NOP", "EXTENDED_ARG"):
            continue
        if instruction.opname == "RETURN_VALUE":
            return
        break
    raise CompileError(
        "it runs a query and goes on with the outcome: return it as it is, and run the other "
        "query by a function of its own"
    )
