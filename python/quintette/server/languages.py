"""What the extension asks when it chooses a language as ``LocaleMiddleware`` does.

Every answer is that of Django's own functions. The extension (middleware_locale.c) keeps answers
for as long as ``Known.relied`` holds: settings, catalogues and functions are the same objects.
"""

from __future__ import annotations

from contextvars import ContextVar
from importlib import import_module
from typing import Any, NamedTuple

from asgiref.local import Local
from django.conf import settings
from django.conf.urls import i18n
from django.middleware import locale
from django.utils import cache, translation

from quintette.server.local import variable_of
from quintette.server.own import own

# Much of it is private.
trans_real: Any = import_module("django.utils.translation.trans_real")

_FUNCTIONS = ("get_language_from_request", "get_language_from_path", "activate", "get_language")
_SETTINGS = ("LANGUAGE_CODE", "LANGUAGES", "LANGUAGE_COOKIE_NAME")

# A catalogue, and what get_language() says while it is active; None: Django's method is to be
# called, which has something else to do.
Choice = tuple[Any, str] | None


class Known(NamedTuple):
    """The order is that of middleware_locale.c."""

    relied: tuple[tuple[dict[str, Any], str, Any], ...]
    variable: ContextVar[Any] | None  # of the Local of the active language
    is_own: bool  # Django's functions are its own
    # Empty, to be filled in by the extension:
    choices: dict[bytes | None, Choice]
    paths: dict[str, Choice]
    fields: dict[str, tuple[str, str]]


def known() -> Known:
    project: dict[str, Any] = object.__getattribute__(settings, "__dict__")
    delegate: Any = translation._trans  # type: ignore[attr-defined]
    functions = {name: getattr(delegate, name) for name in _FUNCTIONS}
    middleware = vars(locale)
    relied = [
        (vars(trans_real), "_active", trans_real._active),
        (vars(trans_real), "_translations", trans_real._translations),
        (vars(translation), "_trans", delegate),
        *((project, name, getattr(settings, name)) for name in _SETTINGS),
        *((vars(delegate), name, function) for name, function in functions.items()),
        *((vars(translation), name, getattr(translation, name)) for name in _FUNCTIONS),
        *(
            (middleware, name, middleware[name])
            for name in ("translation", "is_language_prefix_patterns_used", "patch_vary_headers")
        ),
    ]
    is_own = (
        all(own(trans_real, name, function) for name, function in functions.items())
        and all(own(translation, name, getattr(translation, name)) for name in _FUNCTIONS)
        and middleware["translation"] is translation
        and middleware["is_language_prefix_patterns_used"] is i18n.is_language_prefix_patterns_used
        and own(cache, "patch_vary_headers", middleware["patch_vary_headers"]) is not None
    )
    return Known(tuple(relied), active(), is_own, {}, {}, {})


def active() -> ContextVar[Any] | None:
    """Where a context has its language; None where that is not known of this asgiref."""
    local = trans_real._active
    return variable_of(local)[0] if isinstance(local, Local) else None


# --- answers ----------------------------------------------------------------------------


class _Asked:
    """A request as get_language_from_request() looks at it."""

    def __init__(self, cookie: str | None, accepted: str) -> None:
        self.COOKIES = {} if cookie is None else {settings.LANGUAGE_COOKIE_NAME: cookie}
        self.META = {"HTTP_ACCEPT_LANGUAGE": accepted}


def asked(cookie: str | None, accepted: str) -> Choice:
    """By a request without a language in its path."""
    return _choice(trans_real.get_language_from_request(_Asked(cookie, accepted)))


def default() -> Choice:
    return _choice(settings.LANGUAGE_CODE)


def in_path(segment: str) -> Choice:
    """By the first segment of a path."""
    return _choice(trans_real.get_language_from_path(f"/{segment}"))


def _choice(language: str | None) -> Choice:
    if not language:
        return None
    catalogue = trans_real.translation(language)
    return catalogue, catalogue.to_language()
