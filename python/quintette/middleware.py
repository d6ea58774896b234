"""Django middleware of Quintette's, for projects' plain views and for other servers than ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import BadRequest, MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils.cache import patch_vary_headers

from quintette import _quintette
from quintette.conf import get_settings
from quintette.traffic.project import project_cors
from quintette.traffic.proxies import proxies_of

GetResponse = Callable[[HttpRequest], Any]

__all__ = ["CORSMiddleware", "TrustedProxiesMiddleware"]

_PREFLIGHT_FIELDS = (
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
    "Access-Control-Request-Private-Network",
)


class _Middleware:
    """Of both kinds. What before() answers goes back as it is."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self.is_async:
            return self._acall(request)
        return self.before(request) or self.after(request, self.get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        return self.before(request) or self.after(request, await self.get_response(request))

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        return None

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response


class CORSMiddleware(_Middleware):
    """``QUINTETTE["CORS"]`` for a whole project. First in ``MIDDLEWARE``, so that what others
    answer has the fields, too. Typed routes have a guard that does the same."""

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        cors = project_cors()
        self._varies = not cors.is_for_all
        self._guard = cors.compile(None)

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        if request.method != "OPTIONS" or not self._is_preflight(request) or _is_typed(request):
            return None
        response = HttpResponse(status=204)
        patch_vary_headers(response, ("Origin", *_PREFLIGHT_FIELDS))
        self._grant(request, response, preflight=True)
        return response

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if _was_typed(request):
            return response
        if self._varies:
            patch_vary_headers(cast("HttpResponse", response), ("Origin",))
        if "Origin" in request.headers:
            del response.headers["Access-Control-Allow-Origin"]
            self._grant(request, response, preflight=False)
        return response

    def _is_preflight(self, request: HttpRequest) -> bool:
        return "Origin" in request.headers and _PREFLIGHT_FIELDS[0] in request.headers

    def _grant(self, request: HttpRequest, response: HttpResponseBase, *, preflight: bool) -> None:
        names = ("Origin", *(_PREFLIGHT_FIELDS if preflight else ()))
        sent = [(name, request.headers[name]) for name in names if name in request.headers]
        for line in self._guard.granted(sent, preflight).decode("latin-1").splitlines():
            name, _, value = line.partition(": ")
            response.headers[name] = value


def _is_typed(request: HttpRequest) -> bool:
    """Before Django has looked whose path it is."""
    try:
        match = resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return False
    return hasattr(match.func, "quintette_endpoint")


def _was_typed(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and hasattr(match.func, "quintette_endpoint")


class TrustedProxiesMiddleware(_Middleware):
    """``QUINTETTE["TRUSTED_PROXIES"]`` under other servers; ``serve`` does it by itself. First in
    ``MIDDLEWARE``: what stands before it sees the proxy."""

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        proxies = proxies_of(get_settings())
        if proxies is None:
            raise MiddlewareNotUsed
        self._proxies = proxies

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        if not isinstance(request, _quintette.Request):
            self._resolve(request)
        return None

    def _resolve(self, request: HttpRequest) -> None:
        meta = request.META
        fields = [
            (key[5:].replace("_", "-"), str(value))
            for key, value in meta.items()
            if key.startswith("HTTP_")
        ]
        try:
            found = self._proxies.resolve(meta.get("REMOTE_ADDR", ""), fields)
        except ValueError:
            raise BadRequest("What the proxy forwards is malformed.") from None
        address, scheme, host, left, doubted = found
        kept = {f"HTTP_{name.replace('-', '_')}" for name in left}
        for name, _ in fields:
            key = f"HTTP_{name.replace('-', '_')}"
            if key not in kept:
                del meta[key]
        meta["REMOTE_ADDR"] = address
        if host:
            meta["HTTP_HOST"] = host
        if scheme:
            _set_scheme(request, scheme)
        request.is_doubted = doubted  # type: ignore[attr-defined]
        request.__dict__.pop("headers", None)  # made of META when first asked for


def _set_scheme(request: Any, scheme: str) -> None:
    """Where Django's request of either kind looks."""
    request.META["wsgi.url_scheme"] = scheme
    if hasattr(request, "scope"):
        request.scope = {**request.scope, "scheme": scheme}
