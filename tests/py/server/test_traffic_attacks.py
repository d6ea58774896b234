"""Attacks on whom a request is from and what its answer is kept under, by bytes on a socket.

Behind a trusted proxy on 127.0.0.1, which adds X-Forwarded-For as proxies do and hands on the rest.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from projects import PATIENCE_SECONDS, Project, Served

SETTINGS = """
ALLOWED_HOSTS = ["example.com"]
USE_X_FORWARDED_HOST = False
QUINTETTE = {"TRUSTED_PROXIES": ["127.0.0.1"]}
"""

URLS = """
from django.http import HttpRequest, JsonResponse
from django.urls import path
from quintette import API, CORS, SecurityHeaders
from quintette.traffic import Local, Throttle

guards = [CORS(origin_regexes=[r"https://[a-z]+\\.example\\.com"], headers=["*"], credentials=True)]
api = API(guards=[*guards, SecurityHeaders()])

def seen(request):
    return {
        "url": request.build_absolute_uri(),
        "address": request.META["REMOTE_ADDR"],
        "secure": request.is_secure(),
    }

@api.get("typed")
async def typed(request: HttpRequest) -> dict:
    return seen(request)

@api.get("small", guards=[Throttle("2/d", store=Local(keys=8))])
async def small() -> str:
    return "in"

@api.get("limited", guards=[Throttle("1/d")])
async def limited() -> str:
    return "in"

def plain(request):
    return JsonResponse(seen(request))

urlpatterns = [path("", api.urls), path("plain", plain)]
"""

CLIENT = "192.0.2.7"
VIEWS = ["typed", "plain"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all: each throttle is one test's."""
    project = Project(tmp_path_factory.mktemp("attacks"))
    project.append("settings.py", SETTINGS)
    project.write("urls.py", URLS)
    served = Served(project, "--noreload")
    served.wait_for_url()
    yield served
    served.stop()


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.fields = [(n.lower(), v.strip()) for n, _, v in (li.partition(":") for li in lines)]

    def field(self, name: str) -> str:
        return ", ".join(value for key, value in self.fields if key == name)

    def json(self) -> Any:
        return json.loads(self.body)


def _send(served: Served, target: str, *fields: str, host: str = "example.com") -> Answer:
    """As the proxy would: what the client sent, and its address behind it."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", *fields]
    forwarded = [line for line in fields if line.lower().startswith("x-forwarded-for:")]
    if not forwarded:
        lines.append(f"X-Forwarded-For: {CLIENT}")
    raw = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
    port = urlsplit(served.url).port
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as sock:
        sock.sendall(raw)
        return Answer(b"".join(iter(lambda: sock.recv(65536), b"")))


# --- host spoofing, cache poisoning ------------------------------------------------------

SPOOFS = [
    ["X-Forwarded-Host: evil.example"],
    ["X-Forwarded-Host: example.com", "X-Forwarded-Host: evil.example"],
    ["X-Host: evil.example", "X-Forwarded-Server: evil.example", "X-HTTP-Host-Override: evil"],
    ["Forwarded: for=6.6.6.6;host=evil.example;proto=https"],
    ["X-Forwarded-Port: 6666"],
    ["X-Forwarded-Prefix: /evil", "X-Original-URL: /plain", "X-Rewrite-URL: /plain"],
    [
        "X-Forwarded-Scheme: https",
        "X-Forwarded-Ssl: on",
        "Front-End-Https: on",
        "X-Url-Scheme: https",
    ],
]


@pytest.mark.parametrize("view", VIEWS)
def test_what_a_client_says_does_not_make_the_answer(served: Served, view: str) -> None:
    """A cache in front keeps the answer for all: nothing of these may be in it (web cache
    poisoning by fields that are no part of the cache's key)."""
    for fields in SPOOFS:
        answer = _send(served, f"/{view}", *fields)
        assert answer.status == 200, fields
        assert answer.json() == {
            "url": f"http://example.com/{view}",
            "address": CLIENT,
            "secure": False,
        }


@pytest.mark.parametrize("view", VIEWS)
def test_other_hosts(served: Served, view: str) -> None:
    for host in ("evil.example", "example.com.evil.example", "example.com@evil.example", ""):
        assert _send(served, f"/{view}", host=host).status == 400, host
    # RFC 9112, 3.2.2: the target's host is the request's, and the field is not looked at.
    evil = _send(served, f"http://evil.example/{view}")
    assert evil.status == 400
    good = _send(served, f"http://example.com/{view}", host="evil.example")
    assert good.json()["url"] == f"http://example.com/{view}"


def test_two_hosts(served: Served) -> None:
    assert _send(served, "/typed", "Host: evil.example").status == 400


# --- throttle evasion -----------------------------------------------------------------------

EVASIONS = [
    f"X-Forwarded-For: 6.6.6.6, {CLIENT}",
    f"X-Forwarded-For: 127.0.0.1, {CLIENT}",
    f"X-Forwarded-For: unknown, {CLIENT}",
    f"X-Forwarded-For: , , {CLIENT}",
    f"X-Forwarded-For: 6.6.6.6,{CLIENT}",
    f"X-Forwarded-For:\t6.6.6.6\t,\t{CLIENT}\t",
    f"X-Forwarded-For: 6.6.6.6\r\nx-forwarded-FOR: {CLIENT}",
    f"X-Forwarded-For: {CLIENT}:1",
    f"X-Forwarded-For: {CLIENT}:65535",
    f"X-Forwarded-For: ::ffff:{CLIENT}",
    f"X-Forwarded-For: [::ffff:{CLIENT}]:7",
    "X-Forwarded-For: ::ffff:c000:207",
    f"X-Forwarded-For: {'6.6.6.6, ' * 500}{CLIENT}",
    f"X-Forwarded-For: \xe4\xf6\xfc, {CLIENT}",
    f"X-Forwarded-For: 6.6.6.6;for=7.7.7.7, {CLIENT}",
    f"X-Forwarded-For: {CLIENT}\r\nX-Real-IP: 6.6.6.6",
    f"X-Forwarded-For: {CLIENT}\r\nForwarded: for=6.6.6.6",
    f"X-Forwarded-For: {CLIENT}\r\nTrue-Client-IP: 6.6.6.6",
    f"X-Forwarded-For: {CLIENT}\r\nX-Client-IP: 6.6.6.6",
    f"X-Forwarded-For: {CLIENT}\r\nX-Cluster-Client-IP: 6.6.6.6",
]


def test_nobody_gets_past_a_throttle(served: Served) -> None:
    assert _send(served, "/limited").status == 200
    assert [_send(served, "/limited", evasion).status for evasion in EVASIONS] == [429] * len(
        EVASIONS
    )
    # Another path, query or case of it is the same route, or none.
    targets = ("/limited?x=1", "/limited?", "/%6cimited", "http://example.com/limited")
    assert [_send(served, target).status for target in targets] == [429] * len(targets)


def test_a_flood_of_addresses(served: Served) -> None:
    """Eight keys are all that fit: many others, once each, push one another out."""
    assert [_send(served, "/small").status for _ in range(3)] == [200, 200, 429]
    for i in range(60):
        other = _send(served, "/small", f"X-Forwarded-For: 198.51.100.{i}")
        assert other.status == 200
    assert _send(served, "/small").status == 429


# --- header injection -------------------------------------------------------------------------

INJECTED = [
    "https://a.example.com\tX-Evil: 1",
    "https://a.example.com%0d%0aX-Evil: 1",
    "https://a.example.com\\r\\nX-Evil: 1",
    "https://a.example.com\x85X-Evil: 1",
    "https://a.example.com\n",
    "https://a.example.com\rX-Evil: 1",
    "https://a.example.com\x00",
]


def test_an_origin_that_is_one(served: Served) -> None:
    answer = _send(served, "/typed", "Origin: https://a.example.com")
    assert answer.field("access-control-allow-origin") == "https://a.example.com"


@pytest.mark.parametrize("origin", INJECTED)
def test_origins_do_not_end_a_line(served: Served, origin: str) -> None:
    """CWE-113. A line feed alone ends the field for no parser of ours: 400, or another origin."""
    answer = _send(served, "/typed", f"Origin: {origin}")
    assert "x-evil" not in dict(answer.fields)
    granted = answer.field("access-control-allow-origin")
    assert granted == "" or answer.status == 400
    assert answer.status == 400 or answer.field("vary") == "Origin"


def test_what_a_preflight_asks_for_does_not_end_a_line(served: Served) -> None:
    head = (
        "OPTIONS /typed HTTP/1.1\r\nHost: example.com\r\nOrigin: https://a.example.com\r\n"
        "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: "
    )
    port = urlsplit(served.url).port
    for names in ("x-a\tx-b: 1", 'x-a"', "x-a; y", "x-a:1", "\xe4"):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as sock:
            sock.sendall(f"{head}{names}\r\nConnection: close\r\n\r\n".encode("latin-1"))
            answer = Answer(b"".join(iter(lambda: sock.recv(65536), b"")))
        assert answer.field("access-control-allow-origin") == "https://a.example.com"
        assert answer.field("access-control-allow-headers") == ""
