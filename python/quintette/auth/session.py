"""Django's session: its user, and its protection against requests that other sites make."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib.auth.middleware import get_user
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.csrf import CSRF_SESSION_KEY

from quintette import _quintette
from quintette.api import answer, csrf, keeping
from quintette.api.errors import RegistrationError
from quintette.api.guards import GuardedRoute
from quintette.auth.loading import auser
from quintette.auth.schemes import Scheme, unauthorized
from quintette.auth.users import LazyUser

_OURS = "_quintette_session"


class SessionAuth(Scheme):
    """The user of Django's session, by its cookie and ``AUTHENTICATION_BACKENDS``. Unsafe methods
    pass the checks of Django's ``CsrfViewMiddleware``, or are answered with 403.

    The session is that of the project's ``SessionMiddleware`` where it has run; else it is read,
    kept and its cookie set here. The handler finds it in ``request.session``."""

    checks_origin: ClassVar[bool] = True

    def __init__(self, *, optional: bool = False) -> None:
        self.optional = optional

    def challenges(self) -> tuple[str, ...]:
        # No scheme is registered for cookies, but an answer of 401 must name one.
        return ("Session",)

    def build(
        self, route: GuardedRoute, *, required: bool, in_any: bool = False
    ) -> _quintette.AuthGuard:
        if not apps.is_installed("django.contrib.sessions"):
            raise RegistrationError('SessionAuth() needs "django.contrib.sessions"')
        return _quintette.SessionGuard(
            cookie=settings.SESSION_COOKIE_NAME.encode("latin-1"),
            begin=_begin,
            finish=_finish,
            unauthorized=unauthorized(self.challenges()),
            required=required,
            in_any=in_any,
            always=route.takes_request,
        )


# --- before -----------------------------------------------------------------------------


_sessions = SessionMiddleware(csrf.handler)
_csrf = csrf.check


def _begin(request: Any) -> Any:
    """The user, or the answer that refuses the request; or a coroutine that gives them."""
    if not hasattr(request, "session"):
        _sessions.process_request(request)
        setattr(request, _OURS, True)
    user = LazyUser(partial(get_user, request), partial(auser, request))
    if settings.CSRF_USE_SESSIONS and request.session._session_key:
        return _begin_behind_session(request, user)
    return _checked(request, user)


async def _begin_behind_session(request: Any, user: LazyUser) -> Any:
    await request.session.ahas_key(CSRF_SESSION_KEY)  # loads the session without blocking
    return _checked(request, user)


def _checked(request: HttpRequest, user: LazyUser) -> Any:
    _csrf.process_request(request)
    reason = csrf.refusal(request)
    return user if reason is None else answer.problem(403, f"CSRF: {reason}")


# --- after ------------------------------------------------------------------------------


def _finish(
    request: Any, status: int, fields: list[Any], may_block: bool
) -> Coroutine[Any, Any, None] | None:
    """Keeps the session as Django's middleware does, and adds its cookies to the fields."""
    if not _changed(request):
        if request.session.accessed and getattr(request, _OURS, False):
            fields.append(("Vary", "Cookie"))
        return None
    if may_block or not _waits(request, status):
        _keep(request, status, fields)
        return None
    return keeping.elsewhere(request.session, fields, _keep, request, status, fields)


def _changed(request: Any) -> bool:
    """Whether there may be something to keep, or a cookie to set or delete."""
    if request.META.get("CSRF_COOKIE_NEEDS_UPDATE"):
        return True
    if not getattr(request, _OURS, False):
        return False
    session = request.session
    return bool(session.modified or settings.SESSION_SAVE_EVERY_REQUEST or session.is_empty())


def _waits(request: Any, status: int) -> bool:
    session = request.session
    return (
        bool(getattr(request, _OURS, False))
        and (session.modified or settings.SESSION_SAVE_EVERY_REQUEST or _new_csrf(request))
        and status < 500
    )


def _new_csrf(request: Any) -> bool:
    return bool(settings.CSRF_USE_SESSIONS and request.META.get("CSRF_COOKIE_NEEDS_UPDATE"))


def _keep(request: Any, status: int, fields: list[Any]) -> None:
    response = keeping.blank(status)
    _csrf.process_response(request, response)
    if getattr(request, _OURS, False):
        _sessions.process_response(request, response)
    keeping.take(response, fields)
