"""What guards share that ask functions of the project's or make names of foreign bytes."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils.encoding import force_bytes

from quintette.api.signature import is_async, is_in_loop


def awaiting(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """The function as an asynchronous one. A plain ``def`` runs in the thread that Django's own
    ``sync_to_async`` code shares, unless it is marked ``@in_loop``."""
    if is_async(function):
        return function
    if is_in_loop(function):

        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return call
    threaded: Any = sync_to_async(function, thread_sensitive=True)

    async def call_threaded(*args: Any, **kwargs: Any) -> Any:
        made = await threaded(*args, **kwargs)
        return await made if inspect.isawaitable(made) else made

    return call_threaded


def secret_key(purpose: str) -> bytes:
    """For a keyed hash: of the project, the same in all of its processes."""
    return hashlib.blake2b(
        b"quintette " + purpose.encode(), key=_short(force_bytes(settings.SECRET_KEY)),
        digest_size=16,
    ).digest()  # fmt: skip


def _short(key: bytes) -> bytes:
    """As BLAKE2 takes a key: 64 bytes at most."""
    return key if len(key) <= 64 else hashlib.blake2b(key).digest()
