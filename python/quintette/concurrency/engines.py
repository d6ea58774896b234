"""Which calls wait for a database whose engine can do that in a greenlet.

A ``DatabaseWrapper`` says so by ``waits_in_greenlets = True``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.core.signals import setting_changed
from django.db import connections
from django.db.utils import load_backend

DUMMY = "django.db.backends.dummy"  # what "default" is when it is not used


@lru_cache(maxsize=64)
def waits(alias: str) -> bool:
    """Of the database of that alias."""
    engine = connections.settings[alias]["ENGINE"]
    return getattr(load_backend(engine).DatabaseWrapper, "waits_in_greenlets", False)


@lru_cache(maxsize=1)
def all_wait() -> bool:
    engines = {alias: connections.settings[alias]["ENGINE"] for alias in connections}
    return all(waits(alias) for alias, engine in engines.items() if engine != DUMMY)


def of_all(func: Callable[..., Any]) -> bool:
    """Code that may use any database: only when every one can be waited for."""
    return all_wait()


def of_function(func: Callable[..., Any]) -> bool:
    """A method of a queryset, a manager or a model's instance: its database. So for the function
    with which ``async for`` reads a queryset's next rows."""
    if all_wait():
        return True
    owner = getattr(func, "__self__", None)
    alias = _alias(_iterated(func) if owner is None else owner)  # bool(owner) might be a query
    return alias is not None and waits(alias)


def of_session(func: Callable[..., Any]) -> bool:
    """A method of a session store."""
    return waits_for_session(getattr(func, "__self__", None))


def waits_for_session(store: Any) -> bool:
    """One that is kept in the database, in this process's memory or in its cookie."""
    from django.contrib.sessions.backends import cache, cached_db, db, signed_cookies

    if type(store) in (cache.SessionStore, cached_db.SessionStore):
        return all_wait() and waits_for_cache(store._cache)
    if type(store) is signed_cookies.SessionStore:
        return True
    return (
        all_wait()
        and isinstance(store, db.SessionStore)
        and not isinstance(store, cached_db.SessionStore)
    )


def of_cache(func: Callable[..., Any]) -> bool:
    """A method of a cache."""
    return waits_for_cache(getattr(func, "__self__", None))


def waits_for_cache(cache: Any) -> bool:
    """One that is kept in a database table, or in this process's memory."""
    from django.core.cache.backends.db import BaseDatabaseCache
    from django.core.cache.backends.dummy import DummyCache
    from django.core.cache.backends.locmem import LocMemCache

    if type(cache) in (LocMemCache, DummyCache):
        return True
    return all_wait() and isinstance(cache, BaseDatabaseCache)


def _iterated(func: Any) -> Any:
    """The queryset of BaseIterable's next_slice(), which has the iterable in its closure."""
    if getattr(func, "__name__", None) != "next_slice" or len(func.__closure__ or ()) != 1:
        return None
    return getattr(func.__closure__[0].cell_contents, "queryset", None)


def _alias(owner: Any) -> str | None:
    alias = getattr(owner, "db", None)  # a queryset's or a manager's
    if alias is None:
        alias = getattr(getattr(owner, "_state", None), "db", None)  # a model's instance
    return alias if isinstance(alias, str) and alias in connections.settings else None


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "DATABASES":
        waits.cache_clear()
        all_wait.cache_clear()


setting_changed.connect(_forget, dispatch_uid="quintette.concurrency.engines")
