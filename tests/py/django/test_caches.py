"""Cache backends last as long as their thread, as under other servers."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpRequest, HttpResponse
from django.urls import path
from live_server import LiveServer
from test_handler import urlconf

from quintette import API

Live = Callable[..., LiveServer]
variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


class CountedCache(LocMemCache):
    made = 0
    closed = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        type(self).made += 1

    def close(self, **kwargs: Any) -> None:
        type(self).closed += 1


@pytest.fixture(autouse=True)
def _count() -> None:
    CountedCache.made = CountedCache.closed = 0


# As a project has it that starts with its settings: overriding CACHES later replaces the Local.
LOCAL = caches._connections
CACHES = {"default": {"BACKEND": f"{__name__}.CountedCache"}}
seen: dict[int, set[int]] = {}


def view(request: HttpRequest) -> HttpResponse:
    cache = caches["default"]
    seen.setdefault(threading.get_ident(), set()).add(id(cache))
    before = variable.get()
    variable.set(before + 1)
    return HttpResponse(str(before))


api = API(title="Caches", version="1")


@api.get("/typed")
def typed() -> int:
    view(HttpRequest())
    return 1


@pytest.mark.parametrize("live", ["thread"], indirect=True)
@pytest.mark.parametrize("route", ["view", "typed"])
def test_a_thread_keeps_its_backends(
    live: Live, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    seen.clear()
    server = live(urlconf(path("view", view), path("", api.urls)), CACHES=CACHES)
    monkeypatch.setattr(caches, "_connections", LOCAL)
    for _ in range(20):
        assert server.get(f"/{route}").status == 200
    assert {len(backends) for backends in seen.values()} == {1}
    assert CountedCache.made == len(seen)


def test_they_are_closed_after_each_request(live: Live) -> None:
    server = live(urlconf(path("view", view)), CACHES=CACHES)
    for _ in range(5):
        assert server.get("/view").body == b"0"  # the rest of the context is as fresh as ever
    assert CountedCache.closed == 5
