"""The syntax trees of a project's functions."""

from __future__ import annotations

import ast
import sysconfig
import tokenize
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType

import quintette

ALLOWED = "quintette: allow-blocking"

Function = ast.FunctionDef | ast.AsyncFunctionDef

_FOREIGN = tuple(
    Path(path).resolve()
    for path in (
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        *quintette.__path__,
    )
)
_INSTALLED = {"site-packages", "dist-packages"}


def is_own(code: CodeType) -> bool:
    """Whether it is the project's, and not of something that is installed."""
    if not code.co_filename.endswith(".py"):
        return False
    path = Path(code.co_filename)
    return _INSTALLED.isdisjoint(path.parts) and not any(
        path.is_relative_to(folder) for folder in _FOREIGN
    )


@dataclass
class _Source:
    lines: list[str]
    functions: dict[tuple[int, str], Function]
    """By first line, that of a decorator included, and name."""


class Sources:
    """Reads each file once."""

    def __init__(self) -> None:
        self._files: dict[str, _Source | None] = {}

    def tree_of(self, function: FunctionType) -> Function | None:
        """None where the source is not what was imported, or is not there."""
        code = function.__code__
        source = self._source(code.co_filename)
        if source is None:
            return None
        return source.functions.get((code.co_firstlineno, code.co_name))

    def allows(self, file: str, *lines: int) -> bool:
        """One of the lines has the comment."""
        source = self._source(file)
        if source is None:
            return False
        texts = [source.lines[line - 1] for line in lines if line <= len(source.lines)]
        return any(ALLOWED in text.partition("#")[2] for text in texts)

    def _source(self, file: str) -> _Source | None:
        if file not in self._files:
            self._files[file] = _read(file)
        return self._files[file]


def _read(file: str) -> _Source | None:
    try:
        with tokenize.open(file) as stream:
            text = stream.read()
        tree = ast.parse(text, file)
    except (OSError, SyntaxError, ValueError):
        return None
    functions: dict[tuple[int, str], Function] = {}
    for node in ast.walk(tree):
        if isinstance(node, Function):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            functions[first, node.name] = node
    return _Source(text.splitlines(), functions)
