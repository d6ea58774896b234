"""Where asgiref's Locals keep what they hold."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Any

from asgiref.local import Local


def variable_of(local: Any) -> tuple[ContextVar[Any] | None, type | None]:
    """The variable in which a Local that follows the context keeps its values, and the class that
    wraps their dict there (None: the dict itself is there)."""
    storage = getattr(local, "_storage", None)
    variable = getattr(storage, "_data", None)
    if not isinstance(local, Local) or type(variable) is not ContextVar:
        return None, None
    if getattr(local, "_thread_critical", False):
        return None, None
    module = sys.modules[Local.__module__]
    wrapper = getattr(module, "_Storage", None)
    if wrapper is not None and getattr(wrapper, "__slots__", ()) != ("thread_id", "data"):
        return None, None
    return variable, wrapper
