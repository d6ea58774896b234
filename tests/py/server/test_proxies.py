"""Whom a request is from, where proxies stand in between (QUINTETTE["TRUSTED_PROXIES"])."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from projects import Project, Served, wait_for

Serve = Callable[..., Served]

URLS = """
from django.http import HttpRequest, JsonResponse
from django.urls import path
from quintette import API, WebSocket
from quintette.traffic import Throttle

def seen(request: HttpRequest) -> dict:
    try:
        host = request.get_host()
    except Exception as error:
        host = type(error).__name__
    names = [n for n in request.META if "FORWARD" in n or n in ("HTTP_X_REAL_IP", "HTTP_X_TLS")]
    return {
        "address": request.META["REMOTE_ADDR"],
        "scheme": request.scheme,
        "secure": request.is_secure(),
        "host": host,
        "fields": sorted(names),
        "doubted": request.is_doubted,
    }

api = API()

@api.get("typed")
async def typed(request: HttpRequest) -> dict:
    return seen(request)

@api.get("limited", guards=[Throttle("2/h")])
async def limited() -> str:
    return "in"

@api.websocket("socket")
async def socket(socket: WebSocket[str, str]) -> None:
    await socket.accept()

def plain(request):
    return JsonResponse(seen(request))

async def later(request):
    return JsonResponse(seen(request))

urlpatterns = [path("", api.urls), path("plain", plain), path("later", later)]
"""

PATHS = ["/typed", "/plain", "/later"]


def _settings(project: Project, *lines: str, **quintette: Any) -> None:
    project.write("urls.py", URLS)
    project.append("settings.py", "\n" + "\n".join(lines) + "\n")
    project.append("settings.py", "QUINTETTE = {**globals().get('QUINTETTE', {}), ")
    project.append("settings.py", f"**{quintette!r}}}\n")


def _get(served: Served, path: str, fields: list[tuple[str, str]]) -> tuple[int, Any]:
    connection = served.connect()
    try:
        connection.putrequest("GET", path, skip_host=True)
        if not any(name == "Host" for name, _ in fields):
            connection.putheader("Host", "example.com")
        for name, value in fields:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None
    finally:
        connection.close()


SPOOFED = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.example"),
    ("Forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
    ("X-Real-IP", "6.6.6.6"),
    ("X-TLS", "on"),
]
ITSELF = {
    "address": "127.0.0.1",
    "scheme": "http",
    "secure": False,
    "host": "example.com",
    "doubted": False,
}


@pytest.fixture
def hosts(project: Project) -> None:
    project.append("settings.py", 'ALLOWED_HOSTS = ["example.com", "app.example.com"]\n')


@pytest.mark.parametrize("trusted", [[], ["10.0.0.0/8", "::1", "unix"]])
def test_nobody_else_is_believed(
    serve: Serve, project: Project, hosts: None, trusted: list[str]
) -> None:
    _settings(
        project,
        "USE_X_FORWARDED_HOST = True",
        'SECURE_PROXY_SSL_HEADER = ("HTTP_X_TLS", "on")',
        TRUSTED_PROXIES=trusted,
    )
    served = serve()
    for path in PATHS:
        wanted = {**ITSELF, "fields": [], "doubted": True}
        assert _get(served, path, SPOOFED) == (200, wanted)
        assert _get(served, path, []) == (200, {**ITSELF, "fields": []})
    codes = [_get(served, "/limited", [("X-Forwarded-For", f"6.6.6.{i}")])[0] for i in range(3)]
    assert codes == [200, 200, 429]


def test_a_trusted_proxy_is_believed(serve: Serve, project: Project, hosts: None) -> None:
    _settings(project, "USE_X_FORWARDED_HOST = True", TRUSTED_PROXIES=["127.0.0.1", "10.0.0.0/8"])
    served = serve()
    said = [
        ("X-Forwarded-For", "6.6.6.6, 192.0.2.7, 10.0.0.2"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example, app.example.com, inner"),
        ("Forwarded", "for=6.6.6.6"),
    ]
    wanted = {
        "address": "192.0.2.7",
        "scheme": "https",
        "secure": True,
        "host": "app.example.com",
        "fields": ["HTTP_X_FORWARDED_FOR"],
        "doubted": False,
    }
    for path in PATHS:
        assert _get(served, path, said) == (200, wanted)
        assert _get(served, path, []) == (200, {**ITSELF, "fields": []})
    evil = [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Host", "evil.example")]
    assert _get(served, "/typed", evil)[0] == 400
    hidden = _get(served, "/plain", [("X-Forwarded-For", "unknown")])[1]
    assert (hidden["address"], hidden["scheme"]) == ("", "http")
    # The access log knows the client, too.
    lines = served.access_lines
    wait_for(lambda: any(line["client"] == "192.0.2.7" for line in lines()))


def test_what_is_malformed_is_refused(serve: Serve, project: Project, hosts: None) -> None:
    """To go on as if the proxy asked would give its address to whoever sends garbage."""
    _settings(project, TRUSTED_PROXIES=["127.0.0.1"])
    served = serve()
    for value in ("", "x", "192.0.2.7,", "192.0.2.7:", "fe80::1%lo", "192.0.2.07"):
        for path in (*PATHS, "/limited"):
            fields = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", value)]
            status, problem = _get(served, path, fields)
            assert (status, problem["detail"]) == (400, "what the proxy forwards is malformed")


def test_each_client_has_a_budget_of_its_own(serve: Serve, project: Project, hosts: None) -> None:
    _settings(project, TRUSTED_PROXIES=["127.0.0.1"])
    served = serve()

    def ask(*values: str) -> int:
        return _get(served, "/limited", [("X-Forwarded-For", value) for value in values])[0]

    assert [ask("192.0.2.1") for _ in range(3)] == [200, 200, 429]
    assert ask("192.0.2.2") == 200
    # Whatever stands before the proxy's own entry, in one field or several, changes nothing.
    for spoofed in ("6.6.6.6", "::1", "garbage", '"', "unknown", "127.0.0.1", "\xe4"):
        assert ask(f"{spoofed}, 192.0.2.1") == 429
        assert ask(spoofed, "192.0.2.1") == 429
    assert ask("192.0.2.1:4711") == 429
    assert ask("::ffff:192.0.2.1") == 429
    # A /64 is one client (RFC 6177: it is what a site has at least).
    assert [ask(f"2001:db8:1:1::{i}") for i in range(3)] == [200, 200, 429]
    assert ask("2001:db8:1:2::1") == 200
    # Those that hide share a budget.
    assert [ask(hidden) for hidden in ("unknown", "_a", "_b")] == [200, 200, 429]


def test_forwarded(serve: Serve, project: Project, hosts: None) -> None:
    """RFC 7239, where the project says that its proxies write it: then nothing else is read."""
    _settings(
        project,
        "USE_X_FORWARDED_HOST = True",
        TRUSTED_PROXIES=["127.0.0.1"],
        FORWARDED_HEADER="Forwarded",
    )
    served = serve()
    said = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Proto", "http"),
        ("Forwarded", 'for=6.6.6.6;host=evil.example, for="[2001:db8::7]:80";proto=https'),
    ]
    for path in PATHS:
        status, found = _get(served, path, said)
        assert (status, found["address"], found["scheme"]) == (200, "2001:db8::7", "https")
        assert (found["host"], found["fields"]) == ("example.com", ["HTTP_FORWARDED"])
    assert _get(served, "/typed", [("Forwarded", 'for="x, for=192.0.2.1')])[0] == 400


def test_a_forwarded_host_needs_djangos_setting(
    serve: Serve, project: Project, hosts: None
) -> None:
    """A proxy that does not set the field hands on the client's (cache poisoning)."""
    _settings(project, TRUSTED_PROXIES=["127.0.0.1"])
    served = serve()
    said = [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Host", "app.example.com")]
    for path in PATHS:
        assert _get(served, path, said)[1]["host"] == "example.com"


def test_unset_nothing_changes(serve: Serve, project: Project, hosts: None) -> None:
    _settings(
        project,
        "USE_X_FORWARDED_HOST = True",
        'SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")',
    )
    served = serve()
    said = [
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "app.example.com"),
    ]
    for path in PATHS:
        found = _get(served, path, said)[1]
        assert (found["address"], found["host"]) == ("127.0.0.1", "app.example.com")
        assert found["secure"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"TRUSTED_PROXIES": ["10.0.0.1/8"]}, "QUINTETTE['TRUSTED_PROXIES']: '10.0.0.1/8' is no"),
        ({"TRUSTED_PROXIES": ["*"]}, "QUINTETTE['TRUSTED_PROXIES']: '*' is no network"),
        ({"TRUSTED_PROXIES": "10.0.0.1"}, "QUINTETTE['TRUSTED_PROXIES']: expected array"),
        ({"FORWARDED_HEADER": "X-Real-IP"}, "QUINTETTE['FORWARDED_HEADER']: expected one of"),
    ],
)
def test_mistakes(project: Project, change: dict[str, Any], words: str) -> None:
    _settings(project, **change)
    assert words in project.fail("127.0.0.1:0", "--noreload").stderr


def test_no_plain_page_opens_a_websocket_of_https(
    serve: Serve, project: Project, hosts: None
) -> None:
    """Anybody on the network may write a page that comes by http from the same host."""
    _settings(project, TRUSTED_PROXIES=["127.0.0.1"])
    served = serve()
    handshake = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    codes = []
    for scheme in ("http", "https"):
        for origin in ("http", "https"):
            fields = [("X-Forwarded-Proto", scheme), ("Origin", f"{origin}://example.com")]
            codes.append((scheme, origin, _get(served, "/socket", handshake + fields)[0]))
    assert codes == [
        ("http", "http", 101),
        ("http", "https", 101),
        ("https", "http", 403),
        ("https", "https", 101),
    ]
