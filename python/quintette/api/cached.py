"""Responses that are kept, and given again without the handler."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest

from quintette import _quintette, caching
from quintette._stock import LOCALE
from quintette.api.asking import secret_key
from quintette.api.errors import RegistrationError
from quintette.api.guards import CACHE_KIND, Guard, GuardedRoute, Order
from quintette.api.signature import is_async

Tags = Sequence[str] | Callable[..., Iterable[str]]

SECONDS_MAX = 366 * 86_400

# Which separates its tags by what.
_TAG_FIELDS = {"Cache-Tag": ",", "Surrogate-Key": " "}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Cached(Guard):
    """Keeps responses to ``GET`` and ``HEAD`` for so many ``seconds``.

    One response for all requests that are alike in what the handler declares: host, path, query
    parameters, headers and cookies; ``vary`` names further fields. With ``by_user`` each user has
    his own; else requests of somebody (a user, verified credentials, an ``Authorization`` field)
    are never answered from the cache, unless it is ``public``.

    ``tags``, or a function of the request and the values of the path, name what the response is
    made of, for ``quintette.caching.invalidate()``. For ``stale_while_revalidate`` further seconds
    one request makes the next response while others are still given the last. ``store`` is an alias
    of ``CACHES``, None the process's memory.

    ``browser`` and ``cdn`` are the seconds for which clients and CDNs may keep it (RFC 9111, 9213);
    ``tag_field`` tells the latter its tags, as ``Cache-Tag`` or ``Surrogate-Key``. ``context`` is a
    function without arguments: what else the handler depends on, as text.
    """

    order: ClassVar[int] = Order.CACHE
    kind: ClassVar[str | None] = CACHE_KIND

    def __init__(
        self,
        seconds: float | timedelta,
        *,
        vary: Sequence[str] | None = None,
        by_user: bool = False,
        public: bool = False,
        tags: Tags = (),
        stale_while_revalidate: float = 0,
        store: str | None = None,
        browser: int = 0,
        cdn: int | None = None,
        tag_field: str | None = None,
        context: Callable[[], str] | None = None,
    ) -> None:
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        if not 0 < seconds <= SECONDS_MAX or not 0 <= stale_while_revalidate <= SECONDS_MAX:
            _refuse("seconds are more than 0 and at most a year")
        if by_user and (public or cdn is not None or tag_field):
            _refuse("by_user: what is one user's is not for others, nor for a CDN")
        if (cdn is not None or tag_field) and not public:
            _refuse("a CDN keeps what is public: say public=True")
        if tag_field is not None and tag_field not in _TAG_FIELDS:
            _refuse(f"tag_field is {' or '.join(_TAG_FIELDS)}, not {tag_field!r}")
        if browser < 0 or (cdn is not None and cdn < 0):
            _refuse("browser and cdn are seconds")
        if store is not None and stale_while_revalidate:
            _refuse("stale_while_revalidate needs the process's own store")
        if store is not None and store not in settings.CACHES:
            _refuse(f"CACHES has no {store!r}")
        self._vary = None if vary is None else _checked_vary(vary)
        self._tags = _checked(tags)
        self._seconds = float(seconds)
        self._stale = float(stale_while_revalidate)
        self._by_user = by_user
        self._public = public
        self._store = store
        self._control = _control(browser, public=public)
        self._lines = _cdn_lines(cdn, self._stale)
        self._tag_field = tag_field
        self._context = context

    def compile(self, route: GuardedRoute) -> _quintette.Guard:
        self._check(route)
        shared = None if self._store is None else caching.shared(self._store, self._seconds)
        function = route.function
        return _quintette.CacheGuard(
            store=caching.store(),
            secret=secret_key("response cache"),
            scope=f"{function.__module__}.{function.__qualname__} {route.path}",
            vary=(*(self._vary or ()), *_host_fields(settings)),
            seconds=self._seconds,
            stale_seconds=self._stale,
            by_user=self._by_user,
            public=self._public,
            tags=self._tags,
            lines=self._lines,
            control=self._control,
            tag_field=self._tag_field,
            wait=caching.wait,
            load=None if shared is None else shared.aload,
            save=None if shared is None else shared.save,
            asave=None if shared is None else shared.asave,
            context=self._context or _language_of(settings),
            separator=_TAG_FIELDS.get(self._tag_field or "", ","),
        )

    def _check(self, route: GuardedRoute) -> None:
        if not {"GET", "HEAD"} & set(route.methods):
            _refuse("only responses to GET and HEAD are kept")
        if route.takes_request and self._vary is None:
            _refuse(
                "the handler takes the request, and with it every field: name those "
                "that its response depends on, vary=(...), or say vary=()"
            )
        if route.takes_user and not self._by_user:
            _refuse("the handler takes the user: say by_user=True")


def _refuse(message: str) -> None:
    raise RegistrationError(f"Cached: {message}")


def _checked_vary(vary: Sequence[str]) -> tuple[bytes, ...]:
    if isinstance(vary, str):
        _refuse("vary is a list of header names")
    for name in vary:
        if not _TOKEN.fullmatch(name) or name == "*":
            _refuse(f"vary: {name!r} is no header name")
    return tuple(name.lower().encode() for name in vary)


def _checked(tags: Tags) -> tuple[str, ...] | Callable[[Any, dict[str, Any]], tuple[str, ...]]:
    if not callable(tags):
        try:
            return caching.checked_tags(tags)
        except (TypeError, ValueError) as error:
            raise RegistrationError(f"Cached: {error}") from error
    if is_async(tags):
        _refuse("the function of tags is a plain one: it must not wait")
    function = tags

    def ask(request: HttpRequest, path: dict[str, Any]) -> tuple[str, ...]:
        return caching.checked_tags(function(request, **path))

    return ask


def _control(browser: int, *, public: bool) -> bytes:
    whose = "public" if public else "private"
    how_long = f"max-age={browser}" if browser else "no-cache"
    return f"Cache-Control: {whose}, {how_long}\r\n".encode()


def _cdn_lines(cdn: int | None, stale: float) -> bytes:
    if cdn is None:
        return b""
    more = f", stale-while-revalidate={int(stale)}" if stale >= 1 else ""
    return f"CDN-Cache-Control: public, max-age={cdn}{more}\r\n".encode()


def _host_fields(project: Any) -> tuple[bytes, ...]:
    """Where else the project takes the host from, which may choose a tenant."""
    return (b"x-forwarded-host",) if project.USE_X_FORWARDED_HOST else ()


def _language_of(project: Any) -> Callable[[], str] | None:
    """Where the project chooses a language for each request, responses depend on it."""
    if not project.USE_I18N or LOCALE not in project.MIDDLEWARE:
        return None
    from django.utils.translation import get_language

    def language() -> str:
        return get_language() or ""

    return language
