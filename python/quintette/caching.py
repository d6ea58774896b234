"""What responses of ``Cached`` are kept in, and how they are told that they are out of date."""

from __future__ import annotations

import asyncio
import functools
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.db import models, transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from quintette import _quintette
from quintette.conf import get_settings

__all__ = ["ainvalidate", "clear", "invalidate", "invalidate_on", "stats"]

COUNT_MAX = 65_536
"""Responses that a process keeps at most."""

TAG_MAX = 128
"""Characters of a tag."""

WAIT_SECONDS = 10.0
"""How long a request waits for another one to compute what both want."""

_PREFIX = "quintette.response."
_TAG_PREFIX = "quintette.tag."


# --- waiting for another request --------------------------------------------------------


class _Waiter:
    """A request that waits, on whichever loop, for one that runs on whichever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._again: bool | None = None
        self._future: asyncio.Future[bool] | None = None

    def wake(self, again: bool) -> None:
        with self._lock:
            self._again = again
            future = self._future
        if future is not None:
            with suppress(RuntimeError):  # its loop is closed
                future.get_loop().call_soon_threadsafe(_set, future, again)

    async def wait(self) -> bool:
        with self._lock:
            if self._again is not None:
                return self._again
            self._future = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await self._future
        except TimeoutError:
            return False


def _set(future: asyncio.Future[bool], again: bool) -> None:
    if not future.done():
        future.set_result(again)


def wait(waiting: list[Any]) -> Awaitable[bool]:
    """Whether to take the place of the other request, which has ended without a response."""
    waiter = _Waiter()
    waiting.append(waiter)
    return waiter.wait()


def _wake(waiting: list[_Waiter], again: bool) -> None:
    for waiter in waiting:
        waiter.wake(again)


# --- this process -----------------------------------------------------------------------


@functools.cache
def store() -> _quintette.ResponseStore:
    """Of this process; when its tags were invalidated is told to those forked from it, too."""
    return _quintette.ResponseStore(
        bytes_max=get_settings().response_cache_bytes,
        count_max=COUNT_MAX,
        tag_key=secrets.token_bytes(16),
        wake=_wake,
    )


# --- one of Django's caches -------------------------------------------------------------


class Shared:
    """Responses in one of ``CACHES``, so that all processes that use it have them in common.

    A tag has a version there, made of random bits; a response is kept with those that its tags had
    before it was computed. A version that was lost makes what was kept with it stale.
    """

    def __init__(self, alias: str, seconds: float) -> None:
        self.alias = alias
        self._seconds = seconds
        self.aload: Any = sync_to_async(self.load, thread_sensitive=True)
        self.asave: Any = sync_to_async(self.save, thread_sensitive=True)

    def load(self, key: bytes, tags: tuple[str, ...]) -> tuple[Any, float | None, Any]:
        name = _PREFIX + key.hex()
        names = [_tag_name(tag) for tag in tags]
        found = caches[self.alias].get_many([name, *names])
        version = tuple(found.get(item) or self._begin(item) for item in names)
        kept = found.get(name)
        if kept is not None and kept[0] == version:
            age = max(0.0, time.time() - kept[1])
            if age < self._seconds:
                return version, age, kept[2]
        return version, None, None

    def save(self, key: bytes, version: Any, parts: Any) -> None:
        kept = (version, time.time(), parts)
        caches[self.alias].set(_PREFIX + key.hex(), kept, timeout=max(1, int(self._seconds)))

    def _begin(self, name: str) -> str:
        """The first version of a tag; of two that make one, both take the same."""
        return str(caches[self.alias].get_or_set(name, _version, timeout=None))

    def invalidate(self, tags: Iterable[str]) -> None:
        versions = {_tag_name(tag): _version() for tag in tags}
        caches[self.alias].set_many(versions, timeout=None)


def _version() -> str:
    return secrets.token_hex(8)


def _tag_name(tag: str) -> str:
    return _TAG_PREFIX + tag


_aliases: set[str] = set()


def shared(alias: str, seconds: float) -> Shared:
    _aliases.add(alias)
    return Shared(alias, seconds)


# --- tags -------------------------------------------------------------------------------


def checked_tags(tags: Iterable[Any]) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise TypeError(f"tags are a list of str, not the str {tags!r}")
    made = tuple(dict.fromkeys(tags))
    for tag in made:
        if not isinstance(tag, str):
            raise TypeError(f"a tag is a str, not {tag!r}")
        # They stand in header fields, separated by commas or spaces.
        if not 0 < len(tag) <= TAG_MAX or any(c <= " " or c > "~" or c == "," for c in tag):
            raise ValueError(f"{tag!r} is no tag: printable ASCII without spaces and commas")
    return made


def invalidate(*tags: str) -> None:
    """Responses with one of the tags are out of date, also those that are being computed now.

    In all processes of this server; in those of others where the responses are kept in one of
    ``CACHES`` that they share.
    """
    checked = checked_tags(tags)
    for alias in _aliases:
        Shared(alias, 0).invalidate(checked)
    store().invalidate(*checked)


async def ainvalidate(*tags: str) -> None:
    """``invalidate()`` for coroutines."""
    checked = checked_tags(tags)
    if _aliases:
        await sync_to_async(invalidate, thread_sensitive=True)(*checked)
    else:
        store().invalidate(*checked)


def invalidate_on(
    model: type[models.Model], *tags: str | Callable[[Any], str | Iterable[str]]
) -> None:
    """Invalidates tags once an instance of the model has been saved or deleted, or its many-to-many
    relations changed, and that was committed. A function is given the instance.

    ``QuerySet.update()``, ``bulk_create()`` and SQL send no signals: call ``invalidate()`` there.
    """
    if not tags:
        raise TypeError("invalidate_on() needs a tag")

    def changed(sender: Any, instance: Any, using: str | None = None, **kwargs: Any) -> None:
        names: list[str] = []
        for tag in tags:
            made = tag if isinstance(tag, str) else tag(instance)
            names.extend([made] if isinstance(made, str) else made)
        transaction.on_commit(functools.partial(invalidate, *checked_tags(names)), using=using)

    def relation_changed(sender: Any, action: str, **kwargs: Any) -> None:
        if action.startswith("post_") and isinstance(kwargs["instance"], model):
            changed(sender, **kwargs)

    post_save.connect(changed, sender=model, weak=False)
    post_delete.connect(changed, sender=model, weak=False)
    for field in model._meta.many_to_many:
        through: Any = getattr(model, field.name).through
        m2m_changed.connect(relation_changed, sender=through, weak=False)


def clear() -> None:
    """Drops all responses that this process keeps."""
    store().clear()


def stats() -> dict[str, int]:
    """Of this process: ``entries``, ``bytes``, ``hits``, ``misses``, ``stale``."""
    return store().stats()
