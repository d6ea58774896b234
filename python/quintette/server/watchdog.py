"""Reports what held the event loop of a worker for longer than ``QUINTETTE["WATCHDOG_MS"]``.

A thread in C (watchdog.c) notices; what is here runs in that thread, only then. While a
view holds the loop nobody else is answered, so each such stretch is worth a line in the log.
"""

from __future__ import annotations

import asyncio.base_events
import asyncio.events
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from quintette import _quintette
from quintette.http.request import Request

logger = logging.getLogger("quintette.loop")

# Innermost frames.
STACK_MAX = 30

_HANDLE_RUN = asyncio.events.Handle._run.__code__
_EVENTS = _HANDLE_RUN.co_filename
_LOOP = asyncio.base_events.__file__


class Seen(NamedTuple):
    """What was found while the loop was held."""

    name: str
    stack: traceback.StackSummary  # innermost last


@contextmanager
def watching(poller: Any, limit_msec: float | None) -> Iterator[None]:
    """On the thread of the poller's loop. 0 and None: nothing is watched, and no thread started."""
    if not limit_msec:
        yield
        return
    watchdog = _quintette.Watchdog(poller, max(1, round(limit_msec)), look, callback, report)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


def look(thread_id: int, subject: object) -> Seen:
    """Called while the loop is held. `subject`: see name_of()."""
    return Seen(name_of(subject), _stack(sys._current_frames().get(thread_id)))


def callback(thread_id: int) -> FrameType | None:
    """The frame of asyncio that runs a callback. One frame, one callback."""
    frame = sys._current_frames().get(thread_id)
    while frame is not None and frame.f_code is not _HANDLE_RUN:
        frame = frame.f_back
    return frame


def report(seen: Seen | None, seconds: float, over: bool) -> None:
    """Called once for each stretch, as a rule when it is over. None: it let no other thread run, so
    that nothing was seen."""
    name = "Something" if seen is None else seen.name
    stack = [] if seen is None else seen.stack.format()
    milliseconds = round(seconds * 1000)
    logger.warning(
        "%s %s the event loop for %d ms. A stack of that time, innermost last:\n%s",
        name,
        "held" if over else "still holds",
        milliseconds,
        "".join(stack).rstrip("\n") or "  (none: it let no other thread run)",
        extra={"view": name, "held_ms": milliseconds},
    )


def name_of(subject: object) -> str:
    """Of a request, its method and the pattern of its path; of a handler, its qualified name; None
    is a callback of the event loop."""
    if subject is None:
        return "A callback"
    if isinstance(subject, Request):
        route = getattr(subject.resolver_match, "route", None)
        return f"{subject.method} {subject.path if route is None else f'/{route}'}"
    name = getattr(subject, "__qualname__", None) or repr(subject)
    return f"{getattr(subject, '__module__', '?')}.{name}"


def _stack(at: FrameType | None) -> traceback.StackSummary:
    frames: list[tuple[FrameType, int]] = []
    while at is not None and len(frames) < STACK_MAX:
        if at.f_code.co_filename == _LOOP:  # from here on it is every callback's
            break
        if at.f_code.co_filename != _EVENTS:
            frames.append((at, at.f_lineno))
        at = at.f_back
    # Lines are read when they are printed, when the loop is no longer held.
    return traceback.StackSummary.extract(reversed(frames), lookup_lines=False)
