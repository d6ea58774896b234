"""What can go wrong with a compiled query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class CompileError(Exception):
    """A function that cannot be compiled: where, why, what to do."""


class ParameterError(ValueError):
    """An argument of the right type whose value no query can take. The typed API answers it with
    422."""

    def __init__(self, parameters: Sequence[str], message: str) -> None:
        super().__init__(f"{', '.join(parameters)}: {message}")
        self.parameters = tuple(parameters)
        self.message = message


class OutOfBoundsError(ValueError):
    """What is computed of arguments, known by their positions, is no value for the SQL."""

    def __init__(self, arguments: Sequence[int], message: str) -> None:
        super().__init__(message)
        self.arguments = tuple(arguments)


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
