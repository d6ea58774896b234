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


def _to_parts(attributes: dict[str, Any], wrapper: Any) -> list[int]:
    """References to each part that leads to the wrapper."""
    return [
        sys.getrefcount(part)
        for part in attributes.values()
        if hasattr(part, "__dict__") and any(value is wrapper for value in vars(part).values())
    ]


def _to_weak_references(wrapper: Any) -> list[int]:
    """References to each: all without a callback are one."""
    return [sys.getrefcount(reference) for reference in weakref.getweakrefs(wrapper)]


class AsNew:
    """What a wrapper is before its first use. Belongs to the wrapper."""

    __slots__ = ("attributes", "empty", "engine", "references", "to_parts", "to_weak_references")

    def __init__(self, wrapper: Any) -> None:
        self.attributes = vars(wrapper).copy()
        self.engine = wrapper.settings_dict["ENGINE"]
        # The wrapper fills its own; these stay empty.
        self.empty = [
            (name, copy(value))
            for name, value in self.attributes.items()
            if type(value) in _CONTAINERS and not value
        ]
        self.references = _from_parts(wrapper, self.attributes.values())
        self.to_parts = _to_parts(self.attributes, wrapper)
        self.to_weak_references = _to_weak_references(wrapper)

    def is_free(self, only: list[Any]) -> bool:
        """The only item of that list: nobody else refers to it, nor to what leads to it."""
        added = vars(only[0]).keys() - self.attributes.keys()
        references = self.references + _from_parts(only[0], map(vars(only[0]).__getitem__, added))
        return (
            _references(only) == _ALONE + references
            and _to_weak_references(only[0]) == self.to_weak_references
            and _to_parts(self.attributes, only[0]) == self.to_parts
        )

    def restore(self, wrapper: Any) -> None:
        attributes = vars(wrapper)
        attributes.clear()
        attributes.update(self.attributes)
        for name, empty in self.empty:
            attributes[name] = copy(empty)
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
            if getattr(wrapper, "per_scope", False):
                wrapper.as_new = AsNew(wrapper)
            return wrapper

        return create_connection
