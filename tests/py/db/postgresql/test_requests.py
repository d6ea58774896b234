"""Requests to the server: what they borrow comes back, whatever becomes of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.test import override_settings
from django.urls import clear_url_caches, path
from pg_things import Things, names, sql

from quintette.db import pool
from quintette.server import lift
from quintette.server.handler import AsyncHandler, SyncHandler
from quintette.server.runner import PLACES, prepare_process

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "django"))
from live_server import LiveServer

pytestmark = pytest.mark.postgresql


def sync_view(request: HttpRequest, i: int) -> JsonResponse:
    with transaction.atomic(using="pg"):
        Things.create(name=f"sync {i}")
        if i % 3 == 0:
            raise ZeroDivisionError
    return JsonResponse({"n": Things.filter(name=f"sync {i}").count()})


async def async_view(request: HttpRequest, i: int) -> JsonResponse:
    await Things.acreate(name=f"async {i}")
    counts = await asyncio.gather(*[Things.filter(name=f"async {i}").acount() for _ in range(3)])
    return JsonResponse({"n": counts[0]})


def leaving_view(request: HttpRequest, i: int) -> JsonResponse:
    sql("SET statement_timeout = 54321")
    return JsonResponse({"n": i})


def clean_view(request: HttpRequest, i: int) -> JsonResponse:
    return JsonResponse({"timeout": sql("SHOW statement_timeout")[0][0]})


async def stats_view(request: HttpRequest) -> JsonResponse:
    await pool.settled()
    stats = pool.stats()["pg"]
    return JsonResponse({"in_use": stats.in_use, "waiting": stats.waiting, "open": stats.open})


@pytest.fixture
def live(pg: dict[str, Any]) -> Iterator[LiveServer]:
    prepare_process()
    urls: Any = ModuleType("pg_request_urls")
    views = {"sync": sync_view, "async": async_view, "leaving": leaving_view, "clean": clean_view}
    urls.urlpatterns = [path(f"{name}/<int:i>", view) for name, view in views.items()]
    urls.urlpatterns.append(path("stats", stats_view))
    with override_settings(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"]):
        clear_url_caches()
        router, _report, _has_async = lift.build_router()
        handlers = SyncHandler(), AsyncHandler()
        with LiveServer(*handlers, router=router, sync_views=PLACES["greenlet"]) as server:
            yield server
            asyncio.run_coroutine_threadsafe(pool.drain(), server._loop).result(60)
    clear_url_caches()


def get(server: LiveServer, target: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", target)
    response = connection.getresponse()
    try:
        return response.status, response.read()
    finally:
        connection.close()


def test_requests_return_what_they_borrow(live: LiveServer) -> None:
    with ThreadPoolExecutor(16) as clients:
        targets = [f"/{kind}/{i}" for i in range(60) for kind in ("sync", "async")]
        answers = list(clients.map(lambda target: get(live, target), targets))
    for target, (status, body) in zip(targets, answers, strict=True):
        kind, i = target[1:].split("/")
        failing = kind == "sync" and int(i) % 3 == 0
        assert status == (500 if failing else 200), target
        assert failing or body == b'{"n": 1}'
    expected = {f"async {i}" for i in range(60)} | {f"sync {i}" for i in range(60) if i % 3}
    assert names() == expected
    assert get(live, "/stats") == (200, b'{"in_use": 0, "waiting": 0, "open": 5}')


def test_a_session_does_not_outlive_its_request(live: LiveServer) -> None:
    with ThreadPoolExecutor(8) as clients:
        for _ in range(5):
            list(clients.map(lambda i: get(live, f"/leaving/{i}"), range(8)))
            answers = clients.map(lambda i: get(live, f"/clean/{i}"), range(8))
            assert set(answers) == {(200, b'{"timeout": "0"}')}
