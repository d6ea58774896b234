"""CORSMiddleware and TrustedProxiesMiddleware before plain views and typed routes."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

from quintette import API, CORS, Throttle
from quintette.apps import check_traffic
from quintette.testing import TestClient

SITE = "https://app.example.com"
CORS_MIDDLEWARE = "quintette.middleware.CORSMiddleware"
PROXIES_MIDDLEWARE = "quintette.middleware.TrustedProxiesMiddleware"

Ask = Callable[..., Any]


def seen(request: HttpRequest) -> JsonResponse:
    names = ("REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_TLS")
    found = {name: request.META[name] for name in names if name in request.META}
    fields = sorted(name for name in request.headers if name.startswith("X-"))
    found["doubted"] = getattr(request, "is_doubted", None)
    return JsonResponse(
        {**found, "secure": request.is_secure(), "host": request.get_host(), "fields": fields}
    )


async def aseen(request: HttpRequest) -> JsonResponse:
    return seen(request)


def own(request: HttpRequest) -> HttpResponse:
    return HttpResponse("x", headers={"Access-Control-Allow-Origin": "*", "Vary": "Accept"})


def fails(request: HttpRequest) -> HttpResponse:
    raise RuntimeError


def _api() -> API:
    api = API()

    @api.get("/typed")
    async def typed() -> str:
        return "typed"

    @api.put("/strict", guards=[CORS(["https://other.example"])])
    def strict() -> str:
        return "strict"

    @api.get("/limited", guards=[Throttle("1/h")])
    async def limited() -> str:
        return "in"

    return api


def _urlconf() -> types.ModuleType:
    urlconf = types.ModuleType("traffic_urls")
    views = {"plain": seen, "async": aseen, "own": own, "fails": fails}
    routes = [path(name, view) for name, view in views.items()]  # type: ignore[arg-type]
    urlconf.urlpatterns = [path("", _api().urls), *routes]  # type: ignore[attr-defined]
    return urlconf


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest) -> Ask:
    def send(method: str, where: str, **options: Any) -> Any:
        with override_settings(ROOT_URLCONF=_urlconf()):
            if request.param == "wsgi":
                client = Client(raise_request_exception=False)
                return client.generic(method, where, **options)
            aclient = AsyncClient(raise_request_exception=False)
            return asyncio.run(aclient.generic(method, where, **options))

    return send


def _cors(response: Any) -> dict[str, str]:
    prefix = "access-control-"
    return {
        name.lower().removeprefix(prefix): value
        for name, value in response.headers.items()
        if name.lower().startswith(prefix)
    }


def _project(**cors: Any) -> Any:
    return override_settings(
        MIDDLEWARE=[CORS_MIDDLEWARE], QUINTETTE={"CORS": {"ORIGINS": [SITE], **cors}}
    )


# --- CORS -------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["/plain", "/async", "/own", "/typed"])
def test_all_views(ask: Ask, where: str) -> None:
    with _project(CREDENTIALS=True):
        answer = ask("GET", where, headers={"Origin": SITE})
        other = ask("GET", where, headers={"Origin": "https://evil.example"})
    assert _cors(answer) == {"allow-origin": SITE, "allow-credentials": "true"}
    assert _cors(other) == {}
    vary = "Accept, Origin" if where == "/own" else "Origin"
    assert [answer["Vary"], other["Vary"]] == [vary, vary]


@pytest.mark.parametrize("where", ["/fails", "/missing"])
def test_errors(ask: Ask, where: str) -> None:
    with _project():
        answer = ask("GET", where, headers={"Origin": SITE})
    assert answer.status_code in {404, 500}
    assert _cors(answer) == {"allow-origin": SITE}


@pytest.mark.parametrize("where", ["/plain", "/async", "/typed", "/missing"])
def test_preflights(ask: Ask, where: str) -> None:
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-a"}
    with _project(HEADERS=["*"], MAX_AGE=60, METHODS=["GET"]):
        answer = ask("OPTIONS", where, headers={"Origin": SITE, **asked})
        other = ask("OPTIONS", where, headers={"Origin": "https://evil.example", **asked})
    assert (answer.status_code, answer.content) == (204, b"")
    assert _cors(answer) == {
        "allow-origin": SITE,
        "allow-methods": "GET",
        "allow-headers": "x-a",
        "max-age": "60",
    }
    assert (other.status_code, _cors(other)) == (204, {})
    assert other["Vary"].startswith("Origin, Access-Control-Request-Method")


def test_a_route_with_a_policy_of_its_own(ask: Ask) -> None:
    asked = {"Access-Control-Request-Method": "PUT"}
    with _project():
        assert _cors(ask("PUT", "/strict", headers={"Origin": SITE})) == {}
        assert _cors(ask("OPTIONS", "/strict", headers={"Origin": SITE, **asked})) == {}
        allowed = ask("PUT", "/strict", headers={"Origin": "https://other.example"})
    assert _cors(allowed) == {"allow-origin": "https://other.example"}


def test_options_that_are_no_preflight(ask: Ask) -> None:
    with _project():
        assert ask("OPTIONS", "/plain", headers={"Origin": SITE}).status_code == 200


def test_the_server_in_c_does_the_same() -> None:
    with _project():
        client = TestClient(_api())
        assert client._backend.report.kept == []  # type: ignore[union-attr]
        assert _cors(client.get("/typed", headers={"Origin": SITE})) == {"allow-origin": SITE}
        asked = {"Origin": SITE, "Access-Control-Request-Method": "GET"}
        answer = client.request("OPTIONS", "/typed", headers=asked)
        assert _cors(answer)["allow-origin"] == SITE


@pytest.mark.parametrize(
    ("choice", "granted"),
    [(None, True), (True, True), (False, False), ([CORS_MIDDLEWARE], True), ([], False)],
)
def test_the_api_may_choose(choice: Any, granted: bool) -> None:
    api = API(middleware=choice)

    @api.get("/typed")
    async def typed() -> str:
        return "typed"

    with _project():
        client = TestClient(api)
        assert client._backend.report.kept == []  # type: ignore[union-attr]
        assert bool(_cors(client.get("/typed", headers={"Origin": SITE}))) == granted


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({}, r"needs QUINTETTE\['CORS'\]"),
        ({"CORS": {}}, "no origins"),
        ({"CORS": {"ORIGINS": ["*"], "CREDENTIALS": True}}, "with credentials"),
        ({"CORS": {"ORIGINS": "*"}}, r"QUINTETTE\['CORS'\]\['ORIGINS'\]: expected array"),
        ({"CORS": {"ORIGIN_REGEXES": ["("]}}, r"QUINTETTE\['CORS'\]"),
        ({"CORS": {"ORIGIN": ["*"]}}, "Did you mean 'ORIGINS'"),
    ],
)
@pytest.mark.parametrize("handler", [WSGIHandler, ASGIHandler])
def test_mistakes(setting: dict[str, Any], said: str, handler: Any) -> None:
    with (
        override_settings(MIDDLEWARE=[CORS_MIDDLEWARE], QUINTETTE=setting),
        pytest.raises(ImproperlyConfigured, match=said),
    ):
        handler()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"TRUSTED_PROXIES": ["10.0.0.1/8"]}, ["QUINTETTE['TRUSTED_PROXIES']: '10.0.0.1/8'"]),
        ({"CORS": {"ORIGINS": ["https://a/"]}}, ["QUINTETTE['CORS']: CORS: browsers send"]),
        ({"CORS": {"ORIGINS": ["https://a"]}, "TRUSTED_PROXIES": []}, []),
        ({}, []),
    ],
)
def test_what_the_system_check_says(setting: dict[str, Any], said: list[str]) -> None:
    with override_settings(QUINTETTE=setting):
        found = [error for error in check_traffic(None) if error.id == "quintette.E020"]
    assert len(found) == len(said)
    assert all(error.msg.startswith(text) for error, text in zip(found, said, strict=True))


# --- proxies ----------------------------------------------------------------------------


def _trusting(*networks: str, **options: Any) -> Any:
    return override_settings(
        MIDDLEWARE=[PROXIES_MIDDLEWARE],
        QUINTETTE={"TRUSTED_PROXIES": list(networks)},
        ALLOWED_HOSTS=["app.example.com", "testserver"],
        **options,
    )


FORWARDED = {
    "X-Forwarded-For": "6.6.6.6, 192.0.2.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example, app.example.com",
    "X-TLS": "on",
}


@pytest.mark.parametrize("where", ["/plain", "/async"])
def test_a_trusted_proxy(ask: Ask, where: str) -> None:
    with _trusting("127.0.0.1", USE_X_FORWARDED_HOST=True):
        answer = ask("GET", where, headers=FORWARDED).json()
    assert answer == {
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_X_FORWARDED_FOR": "6.6.6.6, 192.0.2.7",
        "HTTP_X_TLS": "on",
        "doubted": False,
        "secure": True,
        "host": "app.example.com",
        "fields": ["X-Forwarded-For", "X-Tls"],
    }


@pytest.mark.parametrize("where", ["/plain", "/async"])
def test_anybody_else(ask: Ask, where: str) -> None:
    with _trusting(
        "10.0.0.0/8",
        "unix",
        USE_X_FORWARDED_HOST=True,
        SECURE_PROXY_SSL_HEADER=("HTTP_X_TLS", "on"),
    ):
        answer = ask("GET", where, headers=FORWARDED).json()
    assert answer == {
        "REMOTE_ADDR": "127.0.0.1",
        "doubted": True,
        "secure": False,
        "host": "testserver",
        "fields": [],
    }


def test_malformed(ask: Ask) -> None:
    with _trusting("127.0.0.1"):
        for where in ("/plain", "/typed"):
            assert ask("GET", where, headers={"X-Forwarded-For": "x"}).status_code == 400


def test_throttles_see_the_client() -> None:
    with _trusting("127.0.0.1"), override_settings(ROOT_URLCONF=_urlconf()):
        client = Client()

        def limited(address: str) -> int:
            return client.get("/limited", headers={"X-Forwarded-For": address}).status_code

        assert [limited(a) for a in ("192.0.2.1", "192.0.2.2", "192.0.2.1")] == [200, 200, 429]


def test_without_the_setting_it_is_not_used(ask: Ask) -> None:
    with override_settings(MIDDLEWARE=[PROXIES_MIDDLEWARE], QUINTETTE={}):
        answer = ask("GET", "/plain", headers=FORWARDED).json()
    assert answer["REMOTE_ADDR"] == "127.0.0.1"
    assert answer["HTTP_X_FORWARDED_HOST"] == FORWARDED["X-Forwarded-Host"]
