"""What is wrong with a declaration, and where it stands."""

from __future__ import annotations

import ast
import difflib
import linecache
from collections.abc import Iterable
from typing import NoReturn

from django.core.exceptions import BadRequest


class ShapeError(TypeError):
    """A shape does not fit its model, or a query set does not fit the shape."""


class UnresolvedError(ShapeError):
    """An annotation names what is not defined yet: another shape below this one."""


class PageError(BadRequest):
    """There is no such page: a number or a size out of bounds; answered with 400."""


class CursorError(BadRequest):
    """A cursor that this query did not give; answered with 400."""


class Place:
    """Where a class statement stands."""

    def __init__(self, filename: str, line: int) -> None:
        self.filename = filename
        self.line = line

    def of_field(self, qualname: str, name: str) -> str:
        """``file:line`` of a field. Reads the source, hence for errors only; without a source, or
        for a field of a base class, that of the class."""
        return f"{self.filename}:{self._line_of(qualname, name) or self.line}"

    def _line_of(self, qualname: str, name: str) -> int | None:
        try:
            tree = ast.parse("".join(linecache.getlines(self.filename)))
        except (SyntaxError, ValueError):
            return None
        wanted = qualname.rpartition(".")[2]
        best: ast.ClassDef | None = None
        for node in ast.walk(tree):
            # Decorators and several classes of one name: the last that begins before the line.
            if (
                isinstance(node, ast.ClassDef)
                and node.name == wanted
                and node.lineno <= self.line <= (node.end_lineno or node.lineno)
            ):
                best = node
        for statement in best.body if best else ():
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                found = statement.target.id == name
            else:
                found = isinstance(statement, ast.FunctionDef) and statement.name == name
            if found:
                return statement.lineno
        return None


def refuse(
    shape: type, name: str | None, message: str, kind: type[ShapeError] = ShapeError
) -> NoReturn:
    place: Place | None = getattr(shape, "__shape_place__", None)
    if name is None:
        where = f" ({place.filename}:{place.line})" if place else ""
        raise kind(f"{shape.__qualname__}{where}: {message}")
    where = f" ({place.of_field(shape.__qualname__, name)})" if place else ""
    raise kind(f"{shape.__qualname__}.{name}{where}: {message}")


def close_matches(name: str, names: Iterable[str]) -> str:
    """The end of a sentence that says that a name is unknown."""
    known = sorted(set(names))
    near = difflib.get_close_matches(name, known, 3)
    if near:
        return f"; did you mean {' or '.join(repr(one) for one in near)}?"
    return f"; it has {', '.join(known)}" if known else ""
