"""What lives as long as a serving process: opened before its first request, closed behind its last.

    @lifespan
    async def client() -> AsyncIterator[Client]:
        async with Client() as it:
            yield it

``client()`` is then the open client, in handlers most easily as ``Depends(client)``. These are for
the whole project; those of an ``API`` (``@api.lifespan``) run where it is mounted.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Generic, Self, TypeVar

from asgiref.sync import iscoroutinefunction, sync_to_async

T = TypeVar("T")
F = TypeVar("F", bound=Callable[[], Any])

_CLOSED: Any = object()


class LifespanError(RuntimeError):
    """A resource is asked for while it is not open."""


class Resource(Generic[T]):
    """What ``@lifespan`` makes of an asynchronous generator: called, it is what that has yielded in
    this process."""

    # A handler may depend on it: the call neither blocks nor waits.
    quintette_in_loop = True

    def __init__(self, function: Callable[[], AsyncIterator[T]]) -> None:
        if not inspect.isasyncgenfunction(function):
            raise TypeError(f"{function!r} is no asynchronous generator (`async def` with `yield`)")
        self._open = contextlib.asynccontextmanager(function)
        self._value: T = _CLOSED
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__

    def __call__(self) -> Any:
        if self._value is _CLOSED:
            raise LifespanError(
                f"{self.__qualname__} is not open: the server has not run its lifespan; see "
                "docs/lifespan.md"
            )
        return self._value

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        async with self._open() as value:
            self._value = value
            try:
                yield
            finally:
                self._value = _CLOSED


class Hooks:
    """Of one API, or of the project, in the order of their declaration."""

    def __init__(self) -> None:
        self._all: list[Callable[[], AbstractAsyncContextManager[None]]] = []

    def on_startup(self, function: F) -> F:
        """Called before the first request: on the loop where it is asynchronous, else in a
        thread."""
        _check_function(function)
        self._all.append(lambda: _around(before=function))
        return function

    def on_shutdown(self, function: F) -> F:
        """The same behind the last request."""
        _check_function(function)
        self._all.append(lambda: _around(after=function))
        return function

    def lifespan(self, function: Callable[[], AsyncIterator[T]]) -> Resource[T]:
        """Of an asynchronous generator: up to its ``yield`` it runs before the first request, from
        there on behind the last. Called, it is then what was yielded."""
        resource = Resource(function)
        self._all.append(resource.opened)
        return resource

    def hold(self, opened: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """What is open as long as the server."""
        self._all.append(opened)

    def __iter__(self) -> Any:
        return iter(tuple(self._all))


def _check_function(function: Any) -> None:
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{function!r} yields: declare it with lifespan instead")
    if not callable(function):
        raise TypeError(f"{function!r} is no function")


@contextlib.asynccontextmanager
async def _around(
    before: Callable[[], Any] | None = None, after: Callable[[], Any] | None = None
) -> AsyncIterator[None]:
    await _call(before)
    try:
        yield
    finally:
        await _call(after)


async def _call(function: Callable[[], Any] | None) -> None:
    if function is None:
        return
    await (function if iscoroutinefunction(function) else sync_to_async(function))()


# --- the process ------------------------------------------------------------------------

_project = Hooks()
_mounted: list[Hooks] = [_project]

on_startup = _project.on_startup
on_shutdown = _project.on_shutdown
lifespan = _project.lifespan
hold = _project.hold


def mount(hooks: Hooks) -> None:
    """An API is in a URLconf: its hooks run with the server."""
    if hooks not in _mounted:
        _mounted.append(hooks)


class Life:
    """Opens hooks, and closes them in the opposite order. Both in one task."""

    def __init__(self, seconds: float, hooks: Sequence[Hooks] | None = None) -> None:
        self._seconds = seconds
        self._hooks = _mounted if hooks is None else hooks
        self._stack = AsyncExitStack()

    async def begin(self) -> None:
        """What was opened is closed again where one of them fails, or takes too long
        (TimeoutError)."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._seconds):
                for hooks in self._hooks:
                    for hook in hooks:
                        await stack.enter_async_context(hook())
            self._stack = stack.pop_all()

    async def end(self) -> None:
        async with asyncio.timeout(self._seconds):
            await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.end()


# --- other servers ----------------------------------------------------------------------

Application = Callable[[Any, Any, Any], Any]


def asgi(application: Application) -> Application:
    """Around Django's ASGI application, which knows nothing of the lifespan protocol:

    ``application = lifespan.asgi(get_asgi_application())``
    """

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _speak(receive, send)
        else:
            await application(scope, receive, send)

    return wrapped


async def _speak(receive: Any, send: Any) -> None:
    from django.urls import get_resolver

    from quintette.conf import get_settings

    life = Life(get_settings().lifespan_seconds)
    await receive()
    try:
        await sync_to_async(lambda: get_resolver().url_patterns)()  # which mounts APIs
        await life.begin()
    except BaseException as error:
        await send({"type": "lifespan.startup.failed", "message": _told(error)})
        raise
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        await life.end()
    except BaseException as error:
        await send({"type": "lifespan.shutdown.failed", "message": _told(error)})
        raise
    await send({"type": "lifespan.shutdown.complete"})


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
