"""The project's ``MIDDLEWARE``, with Django's own in C.

``load`` does what ``BaseHandler.load_middleware`` does, entry by entry and with the same errors.
Entries that are Django's own classes and unchanged become steps of a ``_quintette.Segment``, one
for each run of neighbours; every other gets the next callable as its ``get_response``, as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.core.handlers import base
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response, response_for_exception
from django.http import HttpResponse
from django.middleware.security import SecurityMiddleware
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from quintette import _quintette, _stock
from quintette.server.own import own_method

# In Django's handler, whose words these are.
logger = logging.getLogger("django.request")

# The kinds of steps; binding/middleware/middleware.h has the same order.
_SECURITY, _SESSION, _COMMON, _CSRF, _AUTH = range(5)
_VIEW_ONLY = 13

NATIVE: dict[str, int] = {
    _stock.SECURITY: _SECURITY,
    _stock.SESSION: _SESSION,
    _stock.COMMON: _COMMON,
    _stock.CSRF: _CSRF,
    _stock.AUTH: _AUTH,
    _stock.MESSAGES: 5,
    _stock.FRAME: 6,
    _stock.GZIP: 7,
    _stock.BROKEN_LINKS: 8,
    _stock.LOCALE: 9,
    _stock.CONDITIONAL: 10,
    _stock.CSP: 11,
    _stock.REMOTE_USER: 12,
    _stock.PERSISTENT_REMOTE_USER: 12,
    _stock.LOGIN_REQUIRED: _VIEW_ONLY,
}

_METHODS = ("process_request", "process_view", "process_response")
_OTHER_METHODS = ("process_exception", "process_template_response")

Handler = Callable[[Any], Any]


@dataclass
class _Open:
    """A segment that further steps may still be put in front of."""

    steps: tuple[tuple[Any, ...], ...]
    get_response: Handler
    raises: bool
    is_async: bool


class Explanation(NamedTuple):
    path: str
    is_native: bool
    reason: str


def explain() -> list[Explanation]:
    """For each of ``MIDDLEWARE``, whether it runs in C, and why not."""
    found = []
    for path in settings.MIDDLEWARE:
        reason = obstacle(import_string(path))
        found.append(Explanation(path, not reason, reason))
    return found


def obstacle(middleware: Any) -> str:
    """Why this entry cannot be a step; "" when it can."""
    if not isinstance(middleware, type):
        return "is a function of the project's"
    name = f"{middleware.__module__}.{middleware.__qualname__}"
    if name not in NATIVE:
        stock = next((cls for cls in middleware.__mro__[1:] if _name_of(cls) in NATIVE), None)
        return f"is a subclass of {stock.__name__}" if stock else "is not Django's own"
    if is_replaced():
        return "BaseHandler.load_middleware, or what it uses, has been replaced"
    for cls in middleware.__mro__:
        for method in (*_METHODS, *_OTHER_METHODS, "__init__", "__call__", "__acall__"):
            if method in vars(cls) and cls is not object and own_method(cls, method) is None:
                return f"{cls.__name__}.{method} has been replaced"
    return ""


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def load(handler: Any, is_async: bool) -> None:
    """``handler.load_middleware(is_async)``."""
    handler._view_middleware = []
    handler._template_response_middleware = []
    handler._exception_middleware = []
    inner = handler._get_response_async if is_async else handler._get_response
    chain = _Chain(handler, is_async, inner)
    for path in reversed(settings.MIDDLEWARE):
        chain.add(path)
    handler._middleware_chain = handler.adapt_method_mode(
        is_async, chain.callable(), chain.is_async
    )


class _Chain:
    def __init__(self, handler: Any, is_async: bool, inner: Handler) -> None:
        self._handler = handler
        self._whole_is_async = is_async
        self._next: Handler | None = None
        self._open: _Open | None = _Open((), inner, True, is_async)
        self.is_async = is_async

    def callable(self) -> Handler:
        """What stands at the front."""
        if self._next is None:
            assert self._open is not None
            self._next = _closed(self._handler, self._open)
        return self._next

    def add(self, path: str) -> None:
        middleware = import_string(path)
        is_async = _mode(path, middleware, self.is_async)
        reason = obstacle(middleware)
        try:
            adapted = self._adapted(path, is_async)
            instance = middleware(adapted)
        except MiddlewareNotUsed as exc:
            if settings.DEBUG:
                if str(exc):
                    logger.debug("MiddlewareNotUsed(%r): %s", path, exc)
                else:
                    logger.debug("MiddlewareNotUsed: %r", path)
            return
        if instance is None:
            raise ImproperlyConfigured(f"Middleware factory {path} returned None.")
        self._add_hooks(instance, None if reason else NATIVE[_name_of(type(instance))])
        if reason:
            self._next = convert_exception_to_response(instance)
            self._open = None
        else:
            self._put_in_front(path, instance, adapted, is_async)
        self.is_async = is_async

    def _adapted(self, path: str, is_async: bool) -> Handler:
        """The next callable, in the middleware's mode."""
        adapted: Handler = self._handler.adapt_method_mode(
            is_async,
            self.callable(),
            self.is_async,
            debug=settings.DEBUG,
            name=f"middleware {path}",
        )
        return adapted

    def _put_in_front(self, path: str, instance: Any, adapted: Handler, is_async: bool) -> None:
        step = (NATIVE[_name_of(type(instance))], instance, *_fields(instance))
        behind = self._open
        if behind is None or behind.is_async != is_async:
            behind = _Open((), adapted, False, is_async)
        self._open = _Open((step, *behind.steps), behind.get_response, behind.raises, is_async)
        self._next = None

    def _add_hooks(self, instance: Any, kind: int | None) -> None:
        handler, is_async = self._handler, self._whole_is_async
        if hasattr(instance, "process_view"):
            handler._view_middleware.insert(0, self._view_hook(instance, kind))
        if hasattr(instance, "process_template_response"):
            handler._template_response_middleware.append(
                handler.adapt_method_mode(is_async, instance.process_template_response)
            )
        if hasattr(instance, "process_exception"):
            handler._exception_middleware.append(
                handler.adapt_method_mode(False, instance.process_exception)
            )

    def _view_hook(self, instance: Any, kind: int | None) -> Callable[..., Any]:
        if kind != _CSRF:
            hook: Callable[..., Any] = self._handler.adapt_method_mode(
                self._whole_is_async, instance.process_view
            )
            return hook
        view = _quintette.CsrfView(instance)
        return _async_csrf_view(view) if self._whole_is_async else view


def _mode(path: str, middleware: Any, handler_is_async: bool) -> bool:
    can_sync = getattr(middleware, "sync_capable", True)
    can_async = getattr(middleware, "async_capable", False)
    if not can_sync and not can_async:
        raise RuntimeError(
            f"Middleware {path} must have at least one of sync_capable/async_capable set to True."
        )
    return False if not handler_is_async and can_sync else bool(can_async)


def _closed(handler: Any, opened: _Open) -> Handler:
    if not opened.steps:
        return convert_exception_to_response(opened.get_response)
    own_handler = handler if opened.raises and not opened.is_async else None
    segment = _quintette.Segment(opened.steps, opened.get_response, own_handler, opened.raises)
    return _asynchronous(segment, opened) if opened.is_async else segment


def _fields(instance: Any) -> tuple[Any, Any]:
    """The fields that SecurityMiddleware adds, in the shape of the dict behind
    ``response.headers``: always, and where the request is secure."""
    if type(instance) is not SecurityMiddleware:
        return None, None
    always, secure = added_fields(instance, is_secure=False), added_fields(instance, is_secure=True)
    more = tuple(item for item in secure.items() if item[0] not in always)
    return tuple(always.items()), more or None


def added_fields(instance: Any, is_secure: bool) -> dict[str, tuple[str, str]]:
    """What process_response() of this middleware adds to a response without fields:
    lower-case name -> (name, value)."""
    response: Any = HttpResponse()
    del response["Content-Type"]
    instance.process_response(_Asked(is_secure), response)
    return dict(response.headers._store)


class _Asked:
    """A request as SecurityMiddleware looks at it."""

    def __init__(self, secure: bool) -> None:
        self._secure = secure

    def is_secure(self) -> bool:
        return self._secure


# --- asynchronous -----------------------------------------------------------------------


def _async_csrf_view(view: _quintette.CsrfView) -> Callable[..., Any]:
    async def process_view(request: Any, callback: Any, args: Any, kwargs: Any) -> Any:
        if view.passes(request, callback):
            return None
        return await sync_to_async(view, thread_sensitive=True)(request, callback, args, kwargs)

    return process_view


def _asynchronous(segment: _quintette.Segment, opened: _Open) -> Handler:
    """The segment in an asynchronous chain: its steps on the loop, but for what may block."""
    get_response, raises = opened.get_response, opened.raises

    async def answer(request: Any) -> Any:
        if not raises:
            return await get_response(request)
        try:
            return await get_response(request)
        except Exception as error:
            return await _converted(request, error)

    async def middleware(request: Any) -> Any:
        at, response = await _enter(segment, request)
        if response is None:
            response = await answer(request)
        return await _leave(segment, request, response, at)

    return middleware


async def _converted(request: Any, error: Exception) -> Any:
    return await sync_to_async(response_for_exception, thread_sensitive=False)(request, error)


async def _enter(segment: _quintette.Segment, request: Any) -> tuple[int, Any]:
    at, made, todo = segment.enter(request, 0)
    while todo is not None:
        try:
            made = await sync_to_async(todo, thread_sensitive=True)(request)
        except Exception as error:
            return at, await _converted(request, error)
        if made:
            break
        at, made, todo = segment.enter(request, at + 1)
    if isinstance(made, Exception):
        return at, await _converted(request, made)
    return (at + 1 if made is not None else at), made


async def _leave(segment: _quintette.Segment, request: Any, response: Any, at: int) -> Any:
    while at > 0:
        at, made, todo = segment.leave(request, response, at)
        try:
            if todo is not None:
                made = await sync_to_async(todo, thread_sensitive=True)(request, made)
        except Exception as error:
            made = error
        response = await _converted(request, made) if isinstance(made, Exception) else made
    return response


def is_replaced() -> bool:
    """Somebody's ``load_middleware`` stands in Django's place, a tracing agent's say: then it is
    called, and nothing of the chain is ours."""
    return (
        own_method(BaseHandler, "load_middleware") is None
        or vars(base)["convert_exception_to_response"] is not convert_exception_to_response
        or own_method(MiddlewareMixin, "__call__") is None
    )
