"""The project's middleware before typed routes, where all of it that they need is Django's own.

The C router answers typed routes without Django's handler. What its middleware would do is then
done by a guard (guard_stack.c): fields that never change are written as they are; the
session, its user and messages are promised to the request, should the handler ask for one.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.utils.module_loading import import_string

from quintette import _quintette
from quintette._stock import (
    AUTH,
    BROKEN_LINKS,
    COMMON,
    CONDITIONAL,
    CSP,
    CSRF,
    FRAME,
    GZIP,
    LOCALE,
    MESSAGES,
    PERSISTENT_REMOTE_USER,
    REMOTE_USER,
    SECURITY,
    SESSION,
    SITE,
)
from quintette.api import keeping
from quintette.api.csrf import handler
from quintette.api.errors import RegistrationError
from quintette.api.guards import Guard, GuardedRoute, Order
from quintette.http import lazy
from quintette.server import languages
from quintette.server.middleware import added_fields, obstacle

# What a typed route can be behind without Django's handler.
CARRIED = frozenset({SECURITY, SESSION, COMMON, CSRF, AUTH, MESSAGES, FRAME, CSP, LOCALE})
# About pages; guards do the same for APIs.
PAGES = frozenset({GZIP, CONDITIONAL, BROKEN_LINKS})
# What only handlers notice that take the request.
OF_REQUESTS = frozenset({REMOTE_USER, PERSISTENT_REMOTE_USER, SITE})

# Ours: what they do for views, guards and the server itself do for typed routes.
ELSEWHERE = frozenset(
    {
        "quintette.middleware.CORSMiddleware",
        "quintette.middleware.TrustedProxiesMiddleware",
    }
)

# True: all; False: none; None: what the handler may notice; or the ones that it is to be behind.
Choice = bool | None | Sequence[str]


def chosen(choice: Choice, takes_request: bool) -> list[str]:
    """Of ``MIDDLEWARE``, what the route is to be behind."""
    names = list(settings.MIDDLEWARE)
    if choice is True:
        return [name for name in names if name not in ELSEWHERE]
    if choice is False:
        return []
    if choice is not None:
        for name in choice:
            if name not in names:
                raise RegistrationError(f"middleware={choice!r}: {name!r} is not in MIDDLEWARE")
        return [name for name in names if name in choice and name not in ELSEWHERE]
    without = set(PAGES) if takes_request else PAGES | OF_REQUESTS | {LOCALE}
    return [name for name in names if name not in without and not name.startswith("quintette.")]


def reason_to_keep(choice: Choice, takes_request: bool, in_thread: bool) -> str:
    """Why Django's handler is to answer the route; "" where a stack carries all that it needs."""
    for name in chosen(choice, takes_request):
        if name not in CARRIED:
            return f"{name} would be skipped (see API(middleware=...))"
        if name == LOCALE and in_thread and languages.active() is None:
            # Guards run in the loop's thread, and nobody knows where this asgiref keeps it.
            return f"{name} is carried to asynchronous handlers only (see API(middleware=...))"
        why = obstacle(import_string(name))
        if why:
            return f"{name} {why} (see API(middleware=...))"
    return ""


class Stack(Guard):
    """Of the server's own; projects say ``middleware=``."""

    order = Order.STACK
    kind = "stack"

    def __init__(self, choice: Choice) -> None:
        self._choice = choice

    def compile(self, route: GuardedRoute) -> _quintette.Guard | None:
        names = chosen(self._choice, route.takes_request)
        instances = _instances(names)
        if not instances:
            return None
        finishing = [
            (_FINISHING[name], instances[name])
            for name in reversed(names)
            if name in instances and name in _FINISHING
        ]
        session = instances.get(SESSION)
        asks = {name: instances[name].process_request for name in _asking(instances)}
        saves_all = session is not None and settings.SESSION_SAVE_EVERY_REQUEST
        if saves_all:
            finishing = [(None if one is session else name, one) for name, one in finishing]
        return _quintette.StackGuard(
            asks=tuple(asks.values()),
            lines=tuple(_lines(instances)),
            lazy=_promised(instances),
            session_store=session.SessionStore if session is not None else None,
            finish=partial(_finish, finishing),
            always_finish=saves_all,
            locale=asks.get(LOCALE),
        )


# Whose process_response() has to see what the handler has done, and the attribute of the request
# without which it has done nothing.
_FINISHING: dict[str, str | None] = {
    SESSION: "session",
    CSRF: "META",
    MESSAGES: "_messages",
    LOCALE: None,
}
Steps = list[tuple[str | None, Any]]


def _instances(names: Sequence[str]) -> dict[str, Any]:
    made = {}
    for name in names:
        try:
            made[name] = import_string(name)(handler)
        except MiddlewareNotUsed:
            continue
    return made


def _asking(instances: dict[str, Any]) -> list[str]:
    """Those whose process_request() is to be called."""
    asking = set()
    if settings.SECURE_SSL_REDIRECT:
        asking.add(SECURITY)
    if settings.DISALLOWED_USER_AGENTS or settings.PREPEND_WWW:
        asking.add(COMMON)
    return [name for name in instances if name in asking or name == LOCALE]


def _promised(instances: dict[str, Any]) -> int:
    bits = {
        SESSION: lazy.SESSION,
        AUTH: lazy.USER,
        MESSAGES: lazy.MESSAGES,
        CSRF: lazy.CSRF | lazy.CSRF_CHECK,
    }
    return sum(bit for name, bit in bits.items() if name in instances)


# --- fields -----------------------------------------------------------------------------


def _lines(instances: dict[str, Any]) -> list[tuple[bytes, bytes, bool]]:
    """(lower-case name, line, only where the request is secure)"""
    lines: list[tuple[bytes, bytes, bool]] = []
    for name in (FRAME, CSP, SECURITY):
        if name in instances:
            always = added_fields(instances[name], is_secure=False)
            secure = added_fields(instances[name], is_secure=True)
            lines += [_line(field, False) for field in always.values()]
            lines += [_line(secure[key], True) for key in secure.keys() - always.keys()]
    return lines


def _line(field: tuple[str, str], secure: bool) -> tuple[bytes, bytes, bool]:
    name, value = field
    return name.lower().encode(), f"{name}: {value}\r\n".encode("latin-1"), secure


# --- what the handler has done ----------------------------------------------------------


def _finish(
    steps: Steps, request: Any, status: int, fields: list[Any], may_block: bool
) -> Coroutine[Any, Any, None] | None:
    if may_block or not _waits(request, status):
        keep(steps, request, status, fields)
        return None
    session = request.__dict__.get("session")
    return keeping.elsewhere(session, fields, keep, steps, request, status, fields)


def _waits(request: Any, status: int) -> bool:
    session = request.__dict__.get("session")
    if "_messages" in request.__dict__:
        return True
    modified = session is not None and session.modified
    return status < 500 and bool(modified or settings.SESSION_SAVE_EVERY_REQUEST)


def keep(steps: Steps, request: Any, status: int, fields: list[Any]) -> None:
    """process_response() of each, on a response of that status; what it adds goes into fields."""
    response = keeping.blank(status)
    promised = request._lazy
    request._lazy &= ~lazy.CSRF_CHECK  # which is for handlers, and what they stream
    for attribute, instance in steps:
        if attribute is None or attribute in request.__dict__:
            response = instance.process_response(request, response)
    request._lazy |= promised & lazy.CSRF_CHECK
    keeping.take(response, fields)
