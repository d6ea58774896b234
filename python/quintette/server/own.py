"""Is a function of Django's still Django's? Tracing agents, for one, put theirs in its place."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import Any


def own_method(cls: type, name: str) -> Any:
    """The function that `cls` itself defines under that name, if it is its module's."""
    module = sys.modules[cls.__module__]
    return own(module, f"{cls.__qualname__}.{name}", vars(cls).get(name))


def own(module: ModuleType, qualname: str, function: Any) -> Any:
    """The function if its module defines it under that name; None for what has replaced it."""
    if type(function) is not FunctionType or function.__globals__ is not vars(module):
        return None
    return function if function.__code__.co_qualname == qualname else None
