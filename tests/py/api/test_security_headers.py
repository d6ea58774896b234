"""Security fields, whoever serves the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from live import MakeClient

from quintette import API, HTML, HTTPError, RegistrationError, Response, SecurityHeaders

DEFAULT = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-site",
}
OTHERS = {"cross-origin-embedder-policy", "permissions-policy", "x-own"}


def _api(**options: Any) -> API:
    api = API(guards=[SecurityHeaders(**options)])

    @api.get("/data")
    async def data(fail: bool = False) -> dict[str, int]:
        if fail:
            raise HTTPError(409, "no")
        return {"a": 1}

    @api.get("/page")
    def page() -> HTML:
        return HTML("<p>")

    @api.get("/own")
    def own() -> Response:
        return Response(b"x", headers={"x-frame-options": "SAMEORIGIN", "X-Own": "2"})

    @api.get("/django")
    def django(request: HttpRequest) -> HttpResponse:
        return HttpResponse("x", headers={"Referrer-Policy": "no-referrer"})

    return api


def _found(response: Any) -> dict[str, str]:
    # Django's own server adds none of these to plain views without its middleware.
    return {n: v for n, v in response.headers.items() if n in DEFAULT or n in OTHERS}


@pytest.mark.parametrize("path", ["/data", "/data?fail=1", "/data?fail=x"])
def test_default(connect: MakeClient, path: str) -> None:
    assert _found(connect(_api()).get(path)) == DEFAULT


def test_pages_have_their_own_policy(connect: MakeClient) -> None:
    """One for data would leave a page without its style."""
    policy = "content-security-policy"
    without = {name: value for name, value in DEFAULT.items() if name != policy}
    assert _found(connect(_api()).get("/page")) == without
    assert _found(connect(_api()).get("/django")) == {**without, "referrer-policy": "no-referrer"}
    own = connect(_api(html_csp="default-src 'self'")).get("/page")
    assert _found(own) == {**DEFAULT, policy: "default-src 'self'"}


def test_what_the_handler_says_stays(connect: MakeClient) -> None:
    found = _found(connect(_api(extra={"X-Own": "1"})).get("/own"))
    assert found == {**DEFAULT, "x-frame-options": "SAMEORIGIN", "x-own": "2"}


def test_options(connect: MakeClient) -> None:
    options = {
        "csp": None,
        "content_type_options": None,
        "frame_options": None,
        "referrer_policy": None,
        "opener_policy": None,
        "resource_policy": "cross-origin",
        "embedder_policy": "require-corp",
        "permissions_policy": "camera=()",
        "extra": {"X-Own": "1"},
    }
    assert _found(connect(_api(**options)).get("/data")) == {
        "cross-origin-resource-policy": "cross-origin",
        "cross-origin-embedder-policy": "require-corp",
        "permissions-policy": "camera=()",
        "x-own": "1",
    }


@pytest.mark.parametrize(
    "options",
    [
        {"csp": "a\r\nX-Evil: 1"},
        {"extra": {"X-Own": "a\nb"}},
        {"extra": {"X Own": "a"}},
        {"extra": {"X-Own": "\u20ac"}},
        {"extra": {f"X-{i}": "1" for i in range(30)}},
    ],
)
def test_what_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(RegistrationError, match="SecurityHeaders"):
        SecurityHeaders(**options)
