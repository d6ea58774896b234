"""Requests that other sites make, in handlers that read sessions or users.

A session belongs to whoever sends its cookie, so under an unsafe method it counts only where the
request passes the checks of Django's ``CsrfViewMiddleware``. They are made when the handler asks
for the session or its user: one that asks for neither, or knows its users by a token, needs none.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.functional import SimpleLazyObject

from quintette._stock import CSRF
from quintette.http import lazy

# RFC 9110, 9.2.1, as Django has it.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class _Check(CsrfViewMiddleware):
    """Tells the reason instead of making a page of it."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def handler(request: HttpRequest) -> HttpResponseBase:
    """Stands for a handler, which is not exempt."""
    return HttpResponse()


check = _Check(handler)


def refusal(request: HttpRequest) -> str | None:
    """Why the request may be another site's; None: it is not, or its method is safe."""
    reason: Any = check.process_view(request, handler, (), {})
    return None if reason is None else str(reason)


def demand(request: HttpRequest) -> None:
    reason = refusal(request)
    if reason is not None:
        raise PermissionDenied(f"CSRF: {reason}")


class _Refused:
    """In the place of a session that must not be used; SessionMiddleware finds nothing to do."""

    accessed = modified = False

    def __init__(self, session: Any, reason: str) -> None:
        self.__dict__.update(_reason=reason, is_empty=session.is_empty)

    def __getattr__(self, name: str) -> Any:
        raise PermissionDenied(f"CSRF: {self.__dict__['_reason']}")

    def __setattr__(self, name: str, value: Any) -> None:
        self.__getattr__(name)

    def __getitem__(self, key: str) -> Any:
        return self.__getattr__(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.__getattr__(key)

    def __contains__(self, key: str) -> bool:
        return bool(self.__getattr__(key))


class Withheld:
    """Sessions and users that another server's middleware has put on a request that may be another
    site's: kept from the handler, and from what it streams."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._kept: dict[str, Any] = {}
        self._promised = bool(getattr(request, "_lazy", 0) & lazy.SESSION)
        if self._promised:
            request._lazy |= lazy.CSRF_CHECK  # it is not made yet, and looks itself
        session = vars(request).get("session")
        reason = None if session is None else refusal(request)
        if session is not None and reason is not None:
            self._take(session, reason)

    def _take(self, session: Any, reason: str) -> None:
        own = vars(self._request)
        self._kept = {name: own[name] for name in ("session", "user", "auser") if name in own}
        own.update(session=_Refused(session, reason), **_users(reason))

    def give_back(self, response: HttpResponseBase) -> HttpResponseBase:
        """To the middleware around the handler."""
        if not response.streaming:
            vars(self._request).update(self._kept)
            if self._promised:
                self._request._lazy &= ~lazy.CSRF_CHECK
        return response


def _users(reason: str) -> dict[str, Any]:
    def refuse() -> Any:
        raise PermissionDenied(f"CSRF: {reason}")

    async def arefuse() -> Any:
        refuse()

    return {"user": SimpleLazyObject(refuse), "auser": arefuse}


def concerns(choice: Any, method: str | None) -> bool:
    """Whether a route that takes the request wants such proofs: see ``API(middleware=...)``."""
    if method in SAFE_METHODS or CSRF not in settings.MIDDLEWARE:
        return False
    return choice is None or choice is True or (choice is not False and CSRF in choice)
