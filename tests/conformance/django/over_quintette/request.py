"""Our request, with what Django's test clients say of a request beside its bytes."""

from __future__ import annotations

from typing import Any, Self

from django.http import HttpResponse, QueryDict
from django.utils.functional import cached_property

from over_quintette.wire import WireRequest, from_environ
from quintette import _quintette
from quintette.http.request import Request


class TestedRequest(Request):
    """REMOTE_USER, REMOTE_ADDR, the scheme and the like are said by whoever stands between server
    and project; here by the test."""

    wire: WireRequest | None = None

    def came_as(self, wire: WireRequest) -> None:
        self.wire = wire
        # Where it is not empty, it has to be in the instance before paths are looked at.
        if wire.script_name:
            self.script_name  # noqa: B018

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # noqa: N802
        meta = Request.META.func(self)  # type: ignore[attr-defined]
        if self.wire is not None:
            meta.update(self.wire.meta)
        return meta

    @cached_property
    def script_name(self) -> str:  # type: ignore[override]
        given = self.wire.script_name if self.wire is not None else ""
        return Request.script_name.func(self) or given  # type: ignore[attr-defined]

    def _get_scheme(self) -> str:
        if self.wire is None:
            return super()._get_scheme()
        return self.wire.meta.get("wsgi.url_scheme", "http")


def _received(cls: type[TestedRequest], wire: WireRequest) -> Any:
    """What the server makes of a request's bytes."""
    from over_quintette.handlers import SyncServer

    seen: list[Any] = []

    def take(request: Any) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    _quintette.set_request_class(cls)
    try:
        exchange = SyncServer(take).send(wire)
    finally:
        _quintette.set_request_class(TestedRequest)
    if not seen:
        exchange.result()
    return seen[0]


class WSGIRequest(TestedRequest):
    """In the place of Django's: what the server makes of the bytes that an environment stands for.
    The name is what repr() shows."""

    def __new__(cls, environ: dict[str, Any]) -> Self:
        # Tests leave the path out where it does not matter, or its slash, which no client can.
        path = environ.get("PATH_INFO") or "/"
        whole = {**environ, "PATH_INFO": path if path.startswith("/") else f"/{path}"}
        request: Self = _received(cls, from_environ(whole))
        return request

    def __init__(self, environ: dict[str, Any]) -> None:
        """All is done."""


class HttpRequest(TestedRequest):
    """In the place of Django's where a test makes a request up by its attributes: one that has come
    in with nothing in it. Middleware in C then has to see what the test puts there."""

    def __new__(cls) -> Self:
        wire = WireRequest("GET", "/", "HTTP/1.0", [], meta={"SERVER_NAME": "testserver"})
        request: Self = _received(cls, wire)
        return request

    def __init__(self) -> None:
        self.path = self.path_info = ""
        self.GET = QueryDict(mutable=True)
        self.POST = QueryDict(mutable=True)


def install() -> None:
    """After django.test.client has been imported, and before tests are."""
    import django.core.handlers.wsgi
    import django.test.client

    django.core.handlers.wsgi.WSGIRequest = WSGIRequest  # type: ignore[misc,assignment]
    django.test.client.WSGIRequest = WSGIRequest  # type: ignore[misc,assignment]
