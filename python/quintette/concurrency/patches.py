"""Django's synchronous code on the event loop: one table of the names that are replaced.

Django's asynchronous ORM calls its synchronous one in a thread, by ``sync_to_async``. Where the
database's engine can wait in a greenlet, that call is made on the loop's own thread instead. The
names in ``MODULES`` are replaced in those modules only: ``sync_to_async`` in a project's own code
goes to a thread as ever, unless there is a reason to stay (``stay_when()``).
"""

from __future__ import annotations

import importlib.util
import sys
from asyncio import get_running_loop
from collections.abc import Callable, Coroutine
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import django
import django.utils.asyncio
from asgiref import sync as asgiref_sync
from django.core.exceptions import ImproperlyConfigured

from quintette._quintette import SyncCall, can_wait, wait_for
from quintette.concurrency import engines

Decide = Callable[[Callable[..., Any]], bool]

# Modules whose ``sync_to_async`` wraps calls that wait for a database and for nothing else, and how
# to tell for which database.
MODULES: dict[str, Decide] = {
    "django.db.models.query": engines.of_function,
    "django.db.models.base": engines.of_function,
    "django.db.models.fields.related_descriptors": engines.of_function,
    "django.contrib.contenttypes.fields": engines.of_function,
    "django.contrib.auth.backends": engines.of_all,
    "django.contrib.sessions.backends.base": engines.of_session,
    "django.contrib.sessions.backends.db": engines.of_all,
    "django.core.cache.backends.base": engines.of_cache,
    "django.core.paginator": engines.of_all,
}
if django.VERSION < (6, 0):
    del MODULES["django.core.paginator"]  # nothing of it is asynchronous yet

_thread = asgiref_sync.sync_to_async


def install() -> None:
    """Replaces the names, in modules that are imported already and in those that will be. Once.

    ImproperlyConfigured when this Django does not have them.
    """
    unsafe = django.utils.asyncio
    _check(unsafe, "get_running_loop")
    if unsafe.get_running_loop is _loop_that_must_not_block:  # type: ignore[attr-defined]
        return
    unsafe.get_running_loop = _loop_that_must_not_block  # type: ignore[attr-defined]
    asgiref_sync.AsyncToSync.__call__ = _call_awaiting(asgiref_sync.AsyncToSync.__call__)  # type: ignore[method-assign]
    asgiref_sync.SyncToAsync.__call__ = _call_staying(asgiref_sync.SyncToAsync.__call__)  # type: ignore[method-assign]
    waiting = set()
    for name, decide in MODULES.items():
        if name in sys.modules:
            _replace(sys.modules[name], decide)
        else:
            waiting.add(name)
    sys.meta_path.insert(0, _Importer(waiting))


# Whether thread-sensitive code that a project calls by ``sync_to_async`` must stay on this thread.
_reasons_to_stay: list[Callable[[], bool]] = []


def stay_when(reason: Callable[[], bool]) -> None:
    """In a transaction of the event loop's thread, say, which another thread could not use."""
    _reasons_to_stay.append(reason)


def stay_always() -> None:
    """For processes whose synchronous views run in greenlets: other synchronous code does, too."""
    stay_when(lambda: True)


def _check(module: ModuleType, name: str) -> None:
    if not hasattr(module, name):
        raise ImproperlyConfigured(
            f"quintette does not know this version of Django: {module.__name__} has no {name}."
        )


def _replace(module: ModuleType, decide: Decide) -> None:
    _check(module, "sync_to_async")
    module.sync_to_async = _bridge_for(decide)  # type: ignore[attr-defined]


class _Importer(MetaPathFinder):
    """Replaces the name in a module right after the module's own code has run."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(
        self, name: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        self._names.discard(name)
        spec.loader = _ReplacingLoader(spec.loader, MODULES[name])
        return spec


class _ReplacingLoader(Loader):
    def __init__(self, loader: Loader, decide: Decide) -> None:
        self._loader = loader
        self._decide = decide

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _replace(module, self._decide)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


# --- what the names do now ------------------------------------------------------------------------


def _loop_that_must_not_block() -> Any:
    """For Django's ``async_unsafe``: code that can wait does not hold up the loop."""
    if can_wait():
        raise RuntimeError("the running event loop can be waited on")
    return get_running_loop()


def _call_awaiting(call: Callable[..., Any]) -> Callable[..., Any]:
    """``async_to_sync`` in a greenlet: the coroutine is awaited here, by the same task."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        if can_wait():
            return wait_for(self.awaitable(*args, **kwargs))
        return call(self, *args, **kwargs)

    return __call__


def _call_staying(call: Callable[..., Any]) -> Callable[..., Any]:
    async def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        if (
            self._thread_sensitive
            and self._executor is None
            and any(reason() for reason in _reasons_to_stay)
            and not is_called_from_sync()
        ):
            return await SyncCall(self.func, *args, **kwargs)
        return await call(self, *args, **kwargs)

    return __call__


def _bridge_for(decide: Decide) -> Callable[..., Any]:
    def sync_to_async(
        func: Callable[..., Any] | None = None,
        *,
        thread_sensitive: bool = True,
        executor: Any = None,
    ) -> Any:
        """asgiref's, but that a function which only waits for databases is called in a greenlet."""
        if func is None:
            return lambda func: sync_to_async(
                func, thread_sensitive=thread_sensitive, executor=executor
            )
        if not thread_sensitive or executor is not None:
            return _thread(func, thread_sensitive=thread_sensitive, executor=executor)

        def call(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
            if is_called_from_sync() or not decide(func):
                return _thread(func)(*args, **kwargs)
            return SyncCall(func, *args, **kwargs)

        return call

    return sync_to_async


def is_called_from_sync() -> bool:
    """Does this loop run for the sake of ``async_to_sync`` in some thread?

    Then synchronous code goes back to that thread and to its connection, above all to the
    transaction of a TestCase. In a greenlet there is no other thread.
    """
    return not can_wait() and get_running_loop() in asgiref_sync.AsyncToSync.loop_thread_executors


def modules_exist() -> list[str]:
    """Of the table, those that this Django does not have; for tests."""
    return [name for name in MODULES if importlib.util.find_spec(name) is None]
