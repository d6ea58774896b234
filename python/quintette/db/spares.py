"""Wrappers of tasks that have ended, put back to what they were when they were made.

A `DatabaseWrapper` brings seven objects of its own along, and is looked for by its module's name.
Tasks come and go with requests, so a wrapper that nobody refers to any more is kept for the next.
"""

from __future__ import annotations

import _thread
import sys
import weakref
from asyncio import AbstractEventLoop, _get_running_loop
from collections import deque
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

# For each database and loop: as many as are in use at once, as a rule.
SPARES_MAX = 100

_CONTAINERS = (list, dict, set, deque)
_VALUES = (type(None), bool, int, float, str, bytes)
# Whose objects have no state that would have to be put back, but for what parts keep.
_MODULES = "django.", "quintette.", "_thread"


def _references(only: list[Any]) -> int:
    """To the only item of that list; called with nothing else that refers to it."""
    return sys.getrefcount(only[0])


# To what nobody but the list refers to.
_ALONE = _references([object()])


def _from_parts(wrapper: Any, parts: Iterable[Any]) -> int:
    """References to the wrapper that its parts have."""
    return sum(
        value is wrapper
        for part in parts
        if hasattr(part, "__dict__")
        for value in vars(part).values()
    )


def _has_more(wrapper: Any) -> bool:
    """Whether a subclass has given it things that may change within."""
    return not all(
        value is wrapper.settings_dict
        or type(value) in _VALUES
        or (type(value) in _CONTAINERS and not value)
        or type(value).__module__.startswith(_MODULES)
        for value in vars(wrapper).values()
    )


def _to_weak_references(wrapper: Any) -> list[int]:
    """References to each: all without a callback are one."""
    return [sys.getrefcount(reference) for reference in weakref.getweakrefs(wrapper)]


class AsNew:
    """What a wrapper is before its first use. Belongs to the wrapper."""

    __slots__ = (
        "attributes",
        "empty",
        "engine",
        "parts",
        "references",
        "to_parts",
        "to_weak_references",
    )

    def __init__(self, wrapper: Any) -> None:
        self.attributes = vars(wrapper).copy()
        self.engine = wrapper.settings_dict["ENGINE"]
        # The wrapper fills its own; these stay empty.
        self.empty = [
            (name, copy(value))
            for name, value in self.attributes.items()
            if type(value) in _CONTAINERS and not value
        ]
        # Those that lead to the wrapper, and what they are.
        self.parts = [
            (part, vars(part).copy())
            for part in self.attributes.values()
            if _from_parts(wrapper, [part])
        ]
        self.to_parts = self._to_parts()
        # Each part has one, and so has what is known of it here.
        self.references = 2 * _from_parts(wrapper, (part for part, _ in self.parts))
        self.to_weak_references = _to_weak_references(wrapper)

    def _to_parts(self) -> list[int]:
        """References to each part."""
        return [sys.getrefcount(part) for part, _ in self.parts]

    def is_free(self, only: list[Any]) -> bool:
        """The only item of that list: nobody else refers to it, nor to what leads to it."""
        added = vars(only[0]).keys() - self.attributes.keys()
        references = self.references + _from_parts(only[0], map(vars(only[0]).__getitem__, added))
        return (
            _references(only) == _ALONE + references
            and _to_weak_references(only[0]) == self.to_weak_references
            and self._to_parts() == self.to_parts
        )

    def restore(self, wrapper: Any) -> None:
        attributes = vars(wrapper)
        attributes.clear()
        attributes.update(self.attributes)
        for name, empty in self.empty:
            attributes[name] = copy(empty)
        for part, was in self.parts:
            if len(vars(part)) != len(was):
                vars(part).clear()
                vars(part).update(was)
        wrapper.as_new = self


class Spares:
    """Of all databases. Each is taken on the loop on which it was made."""

    def __init__(self) -> None:
        self._spares: weakref.WeakKeyDictionary[AbstractEventLoop, dict[str, deque[Any]]] = (
            weakref.WeakKeyDictionary()
        )

    def of(self, loop: AbstractEventLoop) -> dict[str, deque[Any]]:
        """By alias."""
        spares = self._spares.get(loop)
        if spares is None:
            spares = self._spares[loop] = {}
        return spares

    def keep(self, only: list[Any]) -> None:
        """The only item of that list, a wrapper that has left its scope, if nobody else has it."""
        as_new: AsNew | None = getattr(only[0], "as_new", None)
        # A scope may be closed by the garbage collector, in any thread.
        loop = _get_running_loop()
        if (
            as_new is not None
            and loop is not None
            and as_new.attributes["_thread_ident"] == _thread.get_ident()
            and as_new.is_free(only)
        ):
            as_new.restore(only[0])
            self.of(loop).setdefault(only[0].alias, deque(maxlen=SPARES_MAX)).append(only[0])

    def take(self, loop: AbstractEventLoop, alias: str, settings: dict[str, Any]) -> Any:
        spares = self.of(loop).get(alias)
        while spares:
            wrapper = spares.pop()
            if (
                wrapper.settings_dict is settings
                and wrapper.as_new.engine == settings["ENGINE"]
                and wrapper._thread_ident == _thread.get_ident()
            ):
                return wrapper
        return None

    def creator(self, handler: Any) -> Callable[[str], Any]:
        """In the place of `connections.create_connection`."""
        create = handler.create_connection

        def create_connection(alias: str) -> Any:
            loop = _get_running_loop()
            if loop is None:
                return create(alias)
            spare = self.take(loop, alias, handler.settings[alias])
            if spare is not None:
                return spare
            wrapper = create(alias)
            if getattr(wrapper, "per_scope", False) and not _has_more(wrapper):
                wrapper.as_new = AsNew(wrapper)
            return wrapper

        return create_connection
