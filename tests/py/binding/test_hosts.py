"""The host guard of typed routes (CVE-2016-9014: DNS rebinding past ALLOWED_HOSTS)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings
from django.urls import URLResolver, path
from django.urls.resolvers import RegexPattern
from wire import LiveServer

from quintette import API, _quintette
from quintette.api import lift
from quintette.server.runner import DEBUG_HOSTS, allowed_hosts


def make_router() -> _quintette.Router:
    api = API(title="Hosts", version="1")

    @api.get("/typed")
    async def typed() -> str:
        return "typed"

    patterns = [path("", api.urls)]
    root = RegexPattern(r"^/")
    router, _report = lift(URLResolver(root, patterns))
    assert router is not None
    return router


@pytest.fixture(params=[False, True], ids=["host", "forwarded"])
def forwarded(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def live(forwarded: bool) -> Iterator[LiveServer]:
    hosts = ["example.com", ".Wide.org"]
    with LiveServer(router=make_router(), allowed_hosts=hosts, forwarded_host=forwarded) as live:
        yield live


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.com", 200),
        ("EXAMPLE.com:8000", 200),
        ("api.wide.org", 200),
        ("evil.org", 400),
        ("example.com.evil.org", 400),
    ],
)
def test_host(live: LiveServer, forwarded: bool, host: str, status: int) -> None:
    fields = f"Host: proxy\r\nX-Forwarded-Host: {host}" if forwarded else f"Host: {host}"
    with live.connect() as sock:
        sock.sendall(f"GET /typed HTTP/1.1\r\n{fields}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert int(answer.split()[1]) == status
    assert (b"ALLOWED_HOSTS" in answer) == (status == 400)


def test_a_forwarded_host_is_ignored_unless_the_setting_says_so() -> None:
    with (
        LiveServer(router=make_router(), allowed_hosts=["example.com"]) as live,
        live.connect() as sock,
    ):
        sock.sendall(
            b"GET /typed HTTP/1.1\r\nHost: evil.org\r\nX-Forwarded-Host: example.com\r\n"
            b"Connection: close\r\n\r\n"
        )
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_patterns_must_be_text() -> None:
    with pytest.raises((AttributeError, TypeError)):
        _quintette.Server(None, allowed_hosts=[3])


def test_debug_without_hosts_means_this_machine() -> None:
    with override_settings(DEBUG=True, ALLOWED_HOSTS=[]):
        assert allowed_hosts() == DEBUG_HOSTS
    with override_settings(DEBUG=False, ALLOWED_HOSTS=[]):
        assert allowed_hosts() == []
