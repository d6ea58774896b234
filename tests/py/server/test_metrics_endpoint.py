"""Metrics for Prometheus, as a scraper meets them."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
from collections.abc import Callable

import pytest
from projects import PATIENCE_SECONDS, Project, Served, children, wait_for

Serve = Callable[..., Served]

URLS = """
import asyncio, os, time
from django.http import HttpResponse
from django.urls import include, path, re_path
from quintette import API

api = API()

@api.get("/cities/{pk:int}")
async def city(pk: int) -> dict: return {"pk": pk}

@api.get("/plain/{name}")
def plain(name: str) -> dict: return {"name": name}

@api.post("/body")
async def body(n: list[int]) -> int: return len(n)

@api.get("/raises")
async def raises() -> dict: raise ValueError

def view(request, **kwargs): return HttpResponse("x" * 100)
async def aview(request): return HttpResponse("a")
def pid(request): return HttpResponse(str(os.getpid()))
def asked(request):
    assert request.resolver_match.route
    return HttpResponse()
gate = asyncio.Event()
async def waits(request):
    await gate.wait()
    return HttpResponse()
async def opens(request):
    gate.set()
    return HttpResponse()

both = [path("item/<slug:name>", view)]
urlpatterns = [
    path("api/", api.urls), path("view/<int:n>", view), path("aview", aview), path("pid", pid),
    path("asked", asked), path("waits", waits), path("opens", opens),
    path("one/", include(both)), path("two/", include(both)), re_path(r"^old/(?P<n>\\d+)$", view),
]
"""
LINE = re.compile(r"^(\w+)(?:\{(.*)\})? ([-+.\d]+)$")


@pytest.fixture
def start(project: Project, serve: Serve) -> Callable[..., Served]:
    def begin(*arguments: str, settings: str = "{}") -> Served:
        project.write("urls.py", URLS)
        project.append("settings.py", f"DEBUG = False\nQUINTETTE = {{'METRICS': {settings}}}\n")
        return serve("--noreload", *arguments)

    return begin


def scraped(served: Served) -> dict[str, dict[str, float]]:
    """The values by name and labels."""
    found: dict[str, dict[str, float]] = {}
    for line in served.text("/metrics").splitlines():
        if not line.startswith("#"):
            match = LINE.match(line)
            assert match, line
            found.setdefault(match[1], {})[match[2] or ""] = float(match[3])
    return found


def label(method: str, route: str) -> str:
    return f'http_request_method="{method}",http_route="{route}"'


REQUESTS = [
    ("GET", "/api/cities/5", "/api/cities/<int:pk>", "2xx"),
    ("HEAD", "/api/cities/5", "/api/cities/<int:pk>", "2xx"),
    ("GET", "/api/plain/x", "/api/plain/<str:name>", "2xx"),
    ("POST", "/api/body", "/api/body", "4xx"),
    ("GET", "/api/raises", "/api/raises", "5xx"),
    ("DELETE", "/api/cities/5", "/api/cities/<int:pk>", "4xx"),
    ("GET", "/view/7", "/view/<int:n>", "2xx"),
    ("PATCH", "/view/8", "/view/<int:n>", "2xx"),
    ("GET", "/aview", "/aview", "2xx"),
    ("GET", "/asked", "/asked", "2xx"),
    ("GET", "/one/item/a", "/one/item/<slug:name>", "2xx"),
    ("GET", "/two/item/a", "/two/item/<slug:name>", "2xx"),
    ("GET", "/old/7", r"/^old/(?P<n>\\d+)$", "2xx"),
    ("GET", "/nowhere/7", "(none)", "4xx"),
    ("BREW", "/view/9", "/view/<int:n>", "2xx"),
]


def test_requests_are_counted_by_route(start: Callable[..., Served]) -> None:
    served = start()
    connection = served.connect()
    for method, path, _, _ in REQUESTS:
        connection.request(method, path)
        connection.getresponse().read()
    values = scraped(served)
    for method, _path, route, status in REQUESTS:
        named = label("_OTHER" if method == "BREW" else method, route)
        assert values["http_server_requests_total"][f'{named},status="{status}"'] >= 1, named
        assert values["http_server_request_duration_seconds_count"][named] >= 1
    named = label("GET", "/view/<int:n>")
    assert values["http_server_response_body_bytes_total"][named] == 100
    buckets = values["http_server_request_duration_seconds_bucket"]
    assert buckets[f'{named},le="+Inf"'] == 1
    assert len([key for key in buckets if key.startswith(named)]) == 18


def test_paths_are_no_labels(start: Callable[..., Served]) -> None:
    """What clients choose must not make series: each would stay for ever."""
    served = start()
    connection = served.connect()
    for number in range(50):
        connection.request("GET", f"/never/{number}")
        connection.getresponse().read()
    assert "never" not in served.text("/metrics")


def test_what_is_under_way(start: Callable[..., Served]) -> None:
    served = start()
    waiting = served.connect()
    waiting.request("GET", "/waits")
    wait_for(lambda: max(scraped(served)["http_server_active_requests"].values()) == 1)
    values = scraped(served)
    assert max(values["quintette_connections"].values()) >= 2
    served.get("/opens")
    assert waiting.getresponse().status == 200
    wait_for(lambda: max(scraped(served)["http_server_active_requests"].values()) == 0)


def test_malformed_requests(start: Callable[..., Served]) -> None:
    served = start()
    connection = served.connect()
    connection.connect()
    assert connection.sock is not None
    connection.sock.sendall(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 400")
    values = scraped(served)["quintette_requests_rejected_total"]
    assert values['reason="malformed"'] == 1


def test_workers_are_added_up(start: Callable[..., Served]) -> None:
    """Whichever worker is asked; the numbers of one that died stay."""
    served = start("--workers", "2")
    pids = served.pids(2)
    for _ in range(20):
        served.get("/aview")
    named = label("GET", "/aview") + ',status="2xx"'

    def counts() -> set[float]:
        return {scraped(served)["http_server_requests_total"][named] for _ in range(6)}

    wait_for(lambda: counts() == {20})
    workers = scraped(served)["quintette_worker_start_time_seconds"]
    assert set(workers) == {f'worker="{pid}"' for pid in pids}
    os.kill(min(pids), signal.SIGKILL)
    wait_for(lambda: len(served.pids(2) - pids) == 1)
    wait_for(lambda: counts() == {20})
    workers = scraped(served)["quintette_worker_start_time_seconds"]
    assert set(workers) == {f'worker="{pid}"' for pid in children(served.process.pid)}


def test_openmetrics(start: Callable[..., Served]) -> None:
    served = start()
    connection = served.connect()
    connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
    response = connection.getresponse()
    text = response.read().decode()
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert text.endswith("\n# EOF\n")
    assert "# TYPE http_server_requests counter\n" in text


@pytest.mark.parametrize(
    ("settings", "path", "headers", "status"),
    [
        ("{}", "/metrics", {}, 200),
        ("{}", "/metrics?x=1", {}, 200),
        ("{}", "/metrics/", {}, 404),
        ("{'PATH': '/-/m'}", "/-/m", {}, 200),
        ("{'PATH': '/-/m'}", "/metrics", {}, 404),
        ("{'ALLOW': ['10.0.0.0/8']}", "/metrics", {}, 404),
        ("{'ALLOW': ['127.0.0.0/8']}", "/metrics", {}, 200),
        ("{'ALLOW': []}", "/metrics", {}, 404),
        # A proxy on this machine asks for somebody else.
        ("{}", "/metrics", {"X-Forwarded-For": "127.0.0.1"}, 404),
        ("{}", "/metrics", {"Forwarded": "for=127.0.0.1"}, 404),
        ("{}", "/metrics", {"Via": "1.1 proxy"}, 404),
        ("None", "/metrics", {}, 404),
    ],
)
def test_who_may_ask(
    start: Callable[..., Served], settings: str, path: str, headers: dict[str, str], status: int
) -> None:
    connection = start(settings=settings).connect()
    connection.request("GET", path, headers=headers)
    assert connection.getresponse().status == status


def test_methods(start: Callable[..., Served]) -> None:
    connection = start().connect()
    connection.request("POST", "/metrics")
    response = connection.getresponse()
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_an_address_of_its_own(start: Callable[..., Served]) -> None:
    port = free_port()
    served = start("--workers", "2", "--metrics", f"127.0.0.1:{port}", settings="None")
    served.pids(2)
    assert served.get("/metrics")[0] == 404
    for _ in range(6):  # either worker
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        assert text.count("quintette_worker_start_time_seconds{") == 2
        assert 'http_route="/pid"' in text
        connection.request("GET", "/pid")
        assert connection.getresponse().status == 404
        connection.close()
    assert served.stop() == 0


def test_a_wrong_address(project: Project) -> None:
    run = project.fail("127.0.0.1:0", "--noreload", "--metrics", "nowhere")
    assert run.returncode == 1
    assert "--metrics: " in run.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{'PATH': 'metrics'}", "QUINTETTE['METRICS']['PATH']"),
        ("{'PATHS': '/metrics'}", "QUINTETTE['METRICS'] has an unknown key 'PATHS'"),
        ("{'ALLOW': ['localhost']}", "QUINTETTE['METRICS']['ALLOW']"),
        ("{'ALLOW': [7]}", "QUINTETTE['METRICS']['ALLOW'][0]: expected str"),
    ],
)
def test_wrong_settings(project: Project, settings: str, words: str) -> None:
    project.append("settings.py", f"QUINTETTE = {{'METRICS': {settings}}}\n")
    run = project.fail("127.0.0.1:0", "--noreload")
    assert run.returncode == 1
    assert words in run.stderr
