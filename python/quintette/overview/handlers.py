"""The code behind a view or handler: its name, where it stands, and whether it is asynchronous."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgiref.sync import iscoroutinefunction


@dataclass(frozen=True)
class Handler:
    name: str
    """Dotted."""
    file: str
    """As short as it can be told from here; empty where the code is not Python's."""
    line: int
    is_async: bool

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.file else ""


def handler_of(callback: Any) -> Handler:
    """Of a URL pattern's callback, or a typed route's function."""
    target = code_of(callback)
    module = getattr(target, "__module__", None) or "?"
    name = getattr(target, "__qualname__", type(target).__qualname__)
    file, line = location(target)
    return Handler(f"{module}.{name}", short(file), line, bool(iscoroutinefunction(callback)))


def code_of(callback: Any) -> Any:
    """The class of a class-based view, else the innermost function."""
    for attribute in ("view_class", "cls"):  # Django's, and REST framework's
        cls = getattr(callback, attribute, None)
        if inspect.isclass(cls):
            return cls
    target = inspect.unwrap(callback) if callable(callback) else callback
    while hasattr(target, "func") and hasattr(target, "keywords"):  # functools.partial
        target = target.func
    return target


def methods_of(callback: Any) -> tuple[str, ...]:
    """Those of a class-based view; empty: whatever the function takes."""
    cls = getattr(callback, "view_class", None)
    if cls is None:
        return ()
    names = [name.upper() for name in cls.http_method_names if hasattr(cls, name)]
    if "GET" in names and "HEAD" not in names:
        names.append("HEAD")  # as View.setup() has it
    return tuple(name for name in names if name != "OPTIONS")


def location(target: Any) -> tuple[str, int]:
    """The file and the line; ("", 0) where there is none."""
    function: Callable[..., Any] = getattr(target, "__func__", target)
    code = getattr(function, "__code__", None)
    if code is not None:
        return code.co_filename, code.co_firstlineno
    try:
        return inspect.getsourcefile(target) or "", inspect.getsourcelines(target)[1]
    except (OSError, TypeError):
        return "", 0


def short(file: str) -> str:
    """Relative to the working directory, or to where it was imported from, the nearest of them."""
    if not file:
        return ""
    path = Path(file)
    folders = [Path(folder).resolve() for folder in ("", *sys.path)]
    texts = [os.fspath(path.relative_to(one)) for one in folders if path.is_relative_to(one)]
    return min(texts, key=len, default=file)
