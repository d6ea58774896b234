"""Where one synchronous view or handler runs, whatever ``QUINTETTE["SYNC_VIEWS"]`` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction

F = TypeVar("F", bound=Callable[..., Any])

# As the server in C numbers them.
PLACES = {"thread": 1, "greenlet": 2, "inline": 3}

_ATTRIBUTE = "quintette_sync"


def waits_here(view: F) -> F:
    """The synchronous view or handler runs in a greenlet on the event loop's thread.

    For code that waits only for what Quintette can wait for: databases of its engines, its locks,
    ``quintette.concurrency``. Anything else that blocks stops every other request meanwhile.
    """
    return _mark(view, "greenlet")


def in_thread(view: F) -> F:
    """The synchronous view or handler runs in a thread, where it may block."""
    return _mark(view, "thread")


def place_of(view: Callable[..., Any]) -> int:
    """The server's number of where it shall run; 0 when it does not say."""
    return PLACES.get(getattr(view, _ATTRIBUTE, ""), 0)


def _mark(view: F, place: str) -> F:
    if iscoroutinefunction(view):
        name = getattr(view, "__qualname__", repr(view))
        raise TypeError(f"{name} is `async def`: it runs on the event loop")
    setattr(view, _ATTRIBUTE, place)
    return view
