"""What Django's middleware puts on every request, made when somebody asks for it.

Where that middleware runs in C (middleware.h), it only sets a bit of ``Request._lazy``. The
descriptors here then do what the middleware's ``process_request()`` would have done. Without the
bit there is no such attribute, as in a project without the middleware; assignment works as on any
attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.utils.functional import SimpleLazyObject

# The bits; binding/middleware/middleware.h has the same.
SESSION, USER, MESSAGES, CSRF, CSRF_CHECK = 1, 2, 4, 8, 16


class Lazy:
    """A non-data descriptor, so that what is in the instance's dict goes before it."""

    def __init__(self, bit: int, make: Callable[[Any], Any]) -> None:
        self._bit = bit
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, request: Any, owner: type) -> Any:
        if request is None:
            return self
        if not request._lazy & self._bit:
            raise AttributeError(
                f"{owner.__name__!r} object has no attribute {self._name!r}",
                name=self._name,
                obj=request,
            )
        value = request.__dict__[self._name] = self._make(request)
        return value


def _demand(request: Any) -> None:
    """Of a typed route, before its handler is given the session or user."""
    from quintette.api.csrf import demand

    request._lazy &= ~CSRF_CHECK
    try:
        demand(request)
    except BaseException:
        request._lazy |= CSRF_CHECK
        raise


def session(request: Any) -> Any:
    if request._lazy & CSRF_CHECK:
        _demand(request)
    return request._session_store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))


def user(request: Any) -> Any:
    from django.contrib.auth.middleware import get_user

    return SimpleLazyObject(lambda: get_user(request))


def auser(request: Any) -> Any:
    from quintette.auth.loading import auser

    return partial(auser, request)


def messages(request: Any) -> Any:
    from django.contrib.messages.storage import default_storage

    return default_storage(request)


def finish_meta(request: Any) -> None:
    """META is there: what ``CsrfViewMiddleware.process_request()`` puts into it."""
    from django.middleware.csrf import CsrfViewMiddleware

    request._lazy &= ~CSRF
    # It looks at settings and the request alone.
    CsrfViewMiddleware(_nothing).process_request(request)


def _nothing(request: Any) -> Any:
    raise NotImplementedError
