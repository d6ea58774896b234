"""CORS, whoever serves the API."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from live import MakeClient

from quintette import API, HTTPError, RegistrationError, Response, Router
from quintette.api import Hook
from quintette.traffic import CORS, Throttle

SITE = "https://app.example.com"
PREFLIGHT_VARY = {
    "Origin",
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
    "Access-Control-Request-Private-Network",
}


def _api(*guards: Any) -> API:
    api = API(guards=guards)

    @api.get("/data")
    async def data(fail: bool = False) -> dict[str, int]:
        if fail:
            raise HTTPError(409, "no")
        return {"a": 1}

    @api.put("/data")
    def put() -> dict[str, int]:
        return {"a": 2}

    return api


def _cors(response: Any) -> dict[str, str]:
    prefix = "access-control-"
    return {
        name.removeprefix(prefix): value
        for name, value in response.headers.items()
        if name.startswith(prefix)
    }


def _vary(response: Any) -> set[str]:
    return {name.strip() for name in response.headers.get("vary", "").split(",")} - {""}


def _preflight(client: Any, origin: str, method: str = "PUT", **headers: str) -> Any:
    fields = {"Origin": origin, "Access-Control-Request-Method": method, **headers}
    return client.request("OPTIONS", "/data", headers=fields)


# --- who is granted something -----------------------------------------------------------

ORIGINS: list[tuple[str, dict[str, Any], str, bool]] = [
    ("itself", {"origins": [SITE]}, SITE, True),
    ("another", {"origins": [SITE]}, "https://evil.example", False),
    ("another scheme", {"origins": [SITE]}, "http://app.example.com", False),
    ("another port", {"origins": [SITE]}, f"{SITE}:8443", False),
    ("what begins with it", {"origins": [SITE]}, f"{SITE}.evil.example", False),
    ("what ends in it", {"origins": ["https://example.com"]}, "https://notexample.com", False),
    ("a port", {"origins": ["http://localhost:3000"]}, "http://localhost:3000", True),
    ("IPv6", {"origins": ["http://[::1]:3000"]}, "http://[::1]:3000", True),
    ("null: any sandboxed frame", {"origins": [SITE]}, "null", False),
    ("null where it is meant", {"origins": ["null"]}, "null", True),
    ("null by '*'", {"origins": ["*"]}, "null", True),
    ("below", {"origins": ["https://*.example.com"]}, SITE, True),
    ("far below", {"origins": ["https://*.example.com"]}, "https://a.b.example.com", True),
    ("not itself", {"origins": ["https://*.example.com"]}, "https://example.com", False),
    ("not without a label", {"origins": ["https://*.example.com"]}, "https://.example.com", False),
    (
        "no user information before it",
        {"origins": ["https://*.example.com"]},
        "https://evil.example@a.example.com",
        False,
    ),
    (
        "no path before it",
        {"origins": ["https://*.example.com"]},
        "https://evil.example/a.example.com",
        False,
    ),
    (
        "no port before it",
        {"origins": ["https://*.example.com"]},
        "https://evil.example:1.example.com",
        False,
    ),
    ("a regex", {"origin_regexes": [r"https://\w+\.example\.com"]}, SITE, True),
    (
        "a regex matches as a whole",
        {"origin_regexes": [r"https://\w+\.example\.com"]},
        f"{SITE}.evil.example",
        False,
    ),
    (
        "a compiled one",
        {"origin_regexes": [re.compile("HTTPS://A", re.IGNORECASE)]},
        "https://a",
        True,
    ),
    ("no latin-1", {"origin_regexes": [r"https://.*"]}, "https://\xe4.example", False),
    ("no spaces", {"origin_regexes": [r"https://.*"]}, "https://a b", False),
    ("no length", {"origin_regexes": [r"https://.*"]}, "https://" + "a" * 600, False),
]


@pytest.mark.parametrize(("why", "options", "origin", "granted"), ORIGINS)
def test_origins(
    connect: MakeClient, why: str, options: dict[str, Any], origin: str, granted: bool
) -> None:
    client = connect(_api(CORS(**options)))
    given = {"allow-origin": "*" if options.get("origins") == ["*"] else origin} if granted else {}
    response = client.get("/data", headers={"Origin": origin.encode("latin-1").decode("latin-1")})
    assert (response.status_code, _cors(response)) == (200, given)
    assert _vary(response) == (set() if options.get("origins") == ["*"] else {"Origin"})
    asked = _preflight(client, origin)
    assert asked.status_code == 204
    assert _cors(asked).get("allow-origin") == given.get("allow-origin")
    assert bool(_cors(asked)) == granted


def test_without_an_origin(connect: MakeClient) -> None:
    """A cache must not give a site what it kept of a request without one."""
    response = connect(_api(CORS([SITE]))).get("/data")
    assert (_cors(response), _vary(response)) == ({}, {"Origin"})


def test_two_origins_are_none(connect: MakeClient, backend: str) -> None:
    client = connect(_api(CORS([SITE, "*"] if backend == "none" else [SITE])))
    response = client.get("/data", headers=[("Origin", SITE), ("Origin", SITE)])
    assert _cors(response) == {}


def test_injection(connect: MakeClient, backend: str) -> None:
    """What comes back of a client's bytes cannot end a line (CWE-113)."""
    client = connect(_api(CORS(origin_regexes=[r"(?s).*"], headers=["*"])))
    for origin in ("https://a\tb", "https://a\x7f", "https://a%0d%0aX-Evil: 1"):
        try:
            response = client.get("/data", headers={"Origin": origin})
        except ValueError:  # the client will not send it
            continue
        assert "x-evil" not in response.headers
        assert response.status_code == 400 or _cors(response) == {}
    asked = _preflight(client, SITE, **{"Access-Control-Request-Headers": 'x-a, "b'})
    assert "allow-headers" not in _cors(asked)


# --- what they are granted ----------------------------------------------------------------


def test_errors_are_readable_too(connect: MakeClient) -> None:
    client = connect(_api(CORS([SITE], credentials=True, expose=["X-Total", "ETag"])))
    wanted = {
        "allow-origin": SITE,
        "allow-credentials": "true",
        "expose-headers": "X-Total, ETag",
    }
    for path, status in (("/data", 200), ("/data?fail=1", 409), ("/data?fail=maybe", 422)):
        response = client.get(path, headers={"Origin": SITE})
        assert (response.status_code, _cors(response)) == (status, wanted)


def test_refusals_of_inner_guards_are_readable(connect: MakeClient) -> None:
    client = connect(_api(Throttle("1/h"), CORS([SITE])))
    answers = [client.get("/data", headers={"Origin": SITE}) for _ in range(2)]
    assert [r.status_code for r in answers] == [200, 429]
    assert all(_cors(r) == {"allow-origin": SITE} for r in answers)


def test_a_preflight(connect: MakeClient) -> None:
    client = connect(_api(CORS([SITE], max_age=600)))
    answer = _preflight(client, SITE, **{"Access-Control-Request-Headers": "x-other"})
    assert answer.status_code == 204
    assert answer.content == b""
    assert _vary(answer) == PREFLIGHT_VARY
    assert _cors(answer) == {
        "allow-origin": SITE,
        "allow-methods": "DELETE, GET, OPTIONS, PATCH, POST, PUT",
        "allow-headers": (
            "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with"
        ),
        "max-age": "600",
    }


def test_a_preflight_of_all_that_may_be_said(connect: MakeClient) -> None:
    guard = CORS(
        [SITE], methods=["PUT"], headers=["*"], credentials=True, max_age=0, private_network=True
    )
    answer = _preflight(
        connect(_api(guard)),
        SITE,
        **{
            "Access-Control-Request-Headers": "x-a, x-b",
            "Access-Control-Request-Private-Network": "true",
        },
    )
    assert _cors(answer) == {
        "allow-origin": SITE,
        "allow-credentials": "true",
        "allow-methods": "PUT",
        "allow-headers": "x-a, x-b",
        "allow-private-network": "true",
        "max-age": "0",
    }


def test_no_private_network_unless_said(connect: MakeClient) -> None:
    client = connect(_api(CORS([SITE])))
    answer = _preflight(client, SITE, **{"Access-Control-Request-Private-Network": "true"})
    assert "allow-private-network" not in _cors(answer)


def test_a_preflight_reaches_neither_handler_nor_inner_guards(connect: MakeClient) -> None:
    """Browsers send it without credentials (Fetch, 4.8): it must not need any."""
    inner = Hook(before=lambda request: pytest.fail("was asked"))
    client = connect(_api(CORS([SITE]), inner))
    for method in ("PUT", "GET", "HEAD"):
        assert _cors(_preflight(client, SITE, method))["allow-origin"] == SITE


def test_methods_that_nobody_has(connect: MakeClient) -> None:
    client = connect(_api(CORS([SITE])))
    for method in ("DELETE", "BREW", "get", ""):
        answer = _preflight(client, SITE, method)
        assert (answer.status_code, _cors(answer)) == (204, {})


def test_plain_options(connect: MakeClient) -> None:
    client = connect(_api(CORS([SITE])))
    answer = client.request("OPTIONS", "/data", headers={"Origin": SITE})
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, PUT, OPTIONS")


def test_without_cors_options_reach_nobody(connect: MakeClient) -> None:
    """Else a preflight would be a way past the method."""
    client = connect(_api(Hook(before=lambda request: pytest.fail("was asked"))))
    answer = _preflight(client, SITE)
    assert (answer.status_code, _cors(answer)) == (204, {})


def test_a_handler_of_its_own_for_options(connect: MakeClient) -> None:
    api = API(guards=[CORS([SITE])])

    @api.options("/data")
    async def options() -> str:
        return "mine"

    client = connect(api)
    assert client.request("OPTIONS", "/data").json() == "mine"
    assert _preflight(client, SITE).status_code == 204


def test_each_route_by_its_own(connect: MakeClient) -> None:
    api, router = API(guards=[CORS([SITE])]), Router(guards=[CORS(["https://b.example"])])

    @api.get("/data")
    async def get() -> str:
        return "a"

    @router.put("/data")
    async def put() -> str:
        return "b"

    api.include(router)
    client = connect(api)
    assert _cors(_preflight(client, SITE, "GET"))["allow-origin"] == SITE
    assert _cors(_preflight(client, SITE, "PUT")) == {}
    assert _cors(_preflight(client, "https://b.example", "PUT")) != {}


def test_what_the_handler_says_itself(connect: MakeClient) -> None:
    api = API(guards=[CORS([SITE])])

    @api.get("/data")
    async def data() -> Response:
        fields = {"Access-Control-Allow-Origin": "*", "Vary": "Accept"}
        return Response(b"x", headers=fields)

    @api.get("/page")
    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse("x", headers={"Vary": "Origin"})

    client = connect(api)
    response = client.get("/data", headers={"Origin": SITE})
    assert response.headers["access-control-allow-origin"] == SITE
    assert _vary(response) == {"Accept", "Origin"}
    assert _vary(client.get("/page")) == {"Origin"}


# --- what is refused when it is declared --------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no origins"),
        ({"origins": SITE}, "a list is needed"),
        ({"origins": ["*"], "credentials": True}, "with credentials"),
        ({"origins": ["null"], "credentials": True}, "with credentials"),
        ({"origins": [SITE + "/"]}, "write it so"),
        ({"origins": ["https://App.example.com"]}, "write it so"),
        ({"origins": ["https://app.example.com:443"]}, "write it so"),
        ({"origins": ["https://u@app.example.com"]}, "write it so"),
        ({"origins": ["app.example.com"]}, "is no origin"),
        ({"origins": ["https://a:b"]}, "is no origin"),
        ({"origins": ["https://ä.example"]}, "is no origin"),
        ({"origins": ["https://*"]}, "first labels"),
        ({"origins": ["https://a.*.com"]}, "first labels"),
        ({"origins": ["https://*.*.com"]}, "first labels"),
        ({"origins": ["https://a.example\r\nX"]}, "write it so"),
        ({"origins": [SITE], "headers": ["x\r\ny"]}, "is no name"),
        ({"origins": [SITE], "methods": "GET"}, "a list is needed"),
        ({"origins": [SITE], "expose": [""]}, "is no name"),
        ({"origins": [SITE], "expose": ["*"], "credentials": True}, "with credentials"),
        ({"origins": [SITE], "max_age": -1}, "max_age"),
        ({"origins": [SITE] * 1001}, "at most"),
    ],
)
def test_declarations(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RegistrationError, match=re.escape(said)):
        CORS(**options)
