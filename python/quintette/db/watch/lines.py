"""The line of the project's own code that a query comes from."""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import asgiref
import django
import greenlet  # type: ignore[import-untyped]

import quintette
from quintette import _quintette

# Kinds of files.
PROJECT, LIBRARY, BOUNDARY = range(3)

# Frames below a look at one stack.
FRAMES_MAX = 500
_FILES_MAX = 10_000

_LIBRARIES = tuple(
    {
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        *(str(Path(str(module.__file__)).parent) for module in (asgiref, django, quintette)),
    }
)
# What calls code of a request, or goes on with it later: what is below in the stack (``manage.py``,
# a test) has nothing to do with it.
_BOUNDARIES = (
    os.path.join("asyncio", "base_events.py"),
    os.path.join("django", "core", "management", "base.py"),
    os.path.join("asgiref", "current_thread_executor.py"),
    os.path.join("quintette", "testing", "client.py"),
)

_kinds: dict[str, int] = {}

# Where the thread that runs now was asked for: it has no stack that tells.
caller: ContextVar[Line | None] = ContextVar("quintette.db.watch.caller", default=None)


class Line(NamedTuple):
    path: str
    number: int
    function: str
    """Empty: the line of a template."""

    def __str__(self) -> str:
        where = f"{_shortened(self.path)}:{self.number}"
        return f"{where} in {self.function}" if self.function else f"{where} (template)"


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    """From the innermost outwards; behind a greenlet's come those of who runs the greenlet. Ends
    where a request begins."""
    current: Any = greenlet.getcurrent()
    steppers: list[Any] | None = None
    for _ in range(FRAMES_MAX):
        while frame is None:
            if steppers is None:
                steppers = _quintette.steppers()
            current = _runner(current, steppers)
            if current is None:
                return
            frame = current.gr_frame
        if kind_of(frame.f_code.co_filename) == BOUNDARY:
            return
        yield frame
        frame = frame.f_back


def _runner(current: Any, steppers: list[Any]) -> Any:
    """Who runs that greenlet. Ours have the thread's own as their parent, whoever steps them; those
    that a project makes inside them do not."""
    parent = current.parent
    if steppers and parent is not None and parent.parent is None:
        return steppers.pop(0)
    return parent


def kind_of(path: str) -> int:
    kind = _kinds.get(path)
    if kind is None:
        if len(_kinds) >= _FILES_MAX:
            _kinds.clear()
        kind = _kinds[path] = _classified(path)
    return kind


def _classified(path: str) -> int:
    if path.endswith(_BOUNDARIES):
        return BOUNDARY
    is_library = path.startswith(("<frozen", *(f"{folder}{os.sep}" for folder in _LIBRARIES)))
    return LIBRARY if is_library else PROJECT


def find(frame: FrameType | None) -> Line | None:
    """The innermost line of the project; of a template, where one is being rendered. Of a compiled
    query that has no such line, since its handler has returned, where it is defined."""
    declared = None
    for at in frames(frame):
        code = at.f_code
        if code.co_name == "render_annotated":
            line = _line_of_template(at.f_locals.get("self"))
            if line is not None:
                return line
        elif code.co_qualname == "Statement.run":
            declared = at.f_locals["self"].function or declared
        if kind_of(code.co_filename) == PROJECT:
            return Line(code.co_filename, at.f_lineno, code.co_qualname)
    return caller.get() or _line_of_task() or (declared and of_function(declared))


def _line_of_task() -> Line | None:
    """Where the running task is, in its outermost function of the project: its stack may be that of
    another greenlet."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    frame = getattr(task.get_coro(), "cr_frame", None) if task is not None else None
    if frame is None or kind_of(frame.f_code.co_filename) != PROJECT:
        return None
    return Line(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


def find_here() -> Line | None:
    return find(sys._getframe(1))


def of_function(function: Any) -> Line:
    """Where it is defined."""
    code = function.__code__
    return Line(code.co_filename, code.co_firstlineno, function.__qualname__)


def _line_of_template(node: Any) -> Line | None:
    """Of a django.template.base.Node."""
    number = getattr(getattr(node, "token", None), "lineno", None)
    name = getattr(getattr(node, "origin", None), "name", None)
    if number is None or name is None or kind_of(name) != PROJECT:
        return None
    return Line(name, number, "")


def _shortened(path: str) -> str:
    folder = os.getcwd() + os.sep
    return path.removeprefix(folder)
