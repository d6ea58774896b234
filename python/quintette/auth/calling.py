"""Functions of the project's that the extension calls on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async

from quintette.api.signature import is_async, is_in_loop


def callable_in_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """An ``async def`` and what is marked ``@in_loop`` as they are; another ``def`` may block, so
    that it is called in a thread, or at once where the thread runs no loop."""
    if is_async(function) or is_in_loop(function):
        return function

    def call(*arguments: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return function(*arguments)
        return sync_to_async(function)(*arguments)

    return call
