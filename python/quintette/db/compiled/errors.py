"""What can go wrong with a compiled query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class CompileError(Exception):
    """A function that cannot be compiled: where, why, what to do."""


def located(function: Callable[..., Any], message: str, line: int | None = None) -> CompileError:
    code = function.__code__
    place = f'File "{code.co_filename}", line {line or code.co_firstlineno}, in {code.co_name}'
    return CompileError(f"{message}\n  {place}")


def line_in(function: Callable[..., Any], error: BaseException) -> int | None:
    """The line of the function itself in the error's traceback; None if it is not there."""
    traceback, line = error.__traceback__, None
    while traceback is not None:
        if traceback.tb_frame.f_code is function.__code__:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
