"""Wrappers of tasks that have ended, put back to what they were when they were made.

A `DatabaseWrapper` brings seven objects of its own along, and is looked for by its module's name.
Tasks come and go with requests, so a wrapper that nobody refers to any more is kept for the next.
"""

from __future__ import annotations

import _thread
import sys
import weakref
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

# For each database: as many as are in use at once, as a rule.
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


class AsNew:
    """What a wrapper is before its first use. Belongs to the wrapper."""

    __slots__ = ("attributes", "empty", "engine", "references", "weak_references")

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
        self.weak_references = weakref.getweakrefcount(wrapper)

    def restore(self, wrapper: Any) -> None:
        attributes = vars(wrapper)
        attributes.clear()
        attributes.update(self.attributes)
        for name, empty in self.empty:
            attributes[name] = copy(empty)
        wrapper.as_new = self


class Spares:
    """Of all databases and threads. Each is taken by the thread that it was made in."""

    def __init__(self) -> None:
        self._spares: dict[str, deque[Any]] = {}

    def keep(self, only: list[Any]) -> None:
        """The only item of that list, a wrapper that has left its scope, if nobody else has it."""
        as_new: AsNew | None = getattr(only[0], "as_new", None)
        if as_new is None:
            return
        added = vars(only[0]).keys() - as_new.attributes.keys()
        references = as_new.references + _from_parts(only[0], map(vars(only[0]).__getitem__, added))
        if (
            _references(only) == _ALONE + references
            and weakref.getweakrefcount(only[0]) == as_new.weak_references
        ):
            as_new.restore(only[0])
            self._spares.setdefault(only[0].alias, deque(maxlen=SPARES_MAX)).append(only[0])

    def take(self, alias: str, settings: dict[str, Any]) -> Any:
        spares = self._spares.get(alias)
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
            spare = None
            if _get_running_loop() is not None:
                spare = self.take(alias, handler.settings[alias])
            return create(alias) if spare is None else spare

        return create_connection
