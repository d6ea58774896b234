"""Requests of different users, languages and time zones, by the thousand and all at once: none sees
anything of another."""

from __future__ import annotations

import asyncio
import http.client
import inspect
import threading
import time
import zoneinfo
from collections.abc import Callable
from contextvars import ContextVar
from random import Random
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.decorators import sync_and_async_middleware
from django.utils.translation import get_language
from live_server import HOST, LiveServer
from test_handler import urlconf
from test_native_middleware import DEFAULT

from quintette import API
from quintette.concurrency import can_wait, sleep

THIS = "test_interleaved"
CLIENTS, REQUESTS = 12, 100
LANGUAGES = ["de", "fr", "en", "pl", "ja"]
ZONES = ["Europe/Berlin", "Asia/Tokyo", "America/Lima", "UTC"]
PLACES = ["/view", "/async", "/typed", "/typed-sync", "/bare"]
MIDDLEWARE = [
    *DEFAULT[:2],
    "django.middleware.locale.LocaleMiddleware",
    *DEFAULT[2:],
    f"{THIS}.zone",
]
_mark: ContextVar[str] = ContextVar("mark", default="")


@sync_and_async_middleware
def zone(get_response: Any) -> Any:
    """As Django's documentation has it: the zone of the session's user."""
    if inspect.iscoroutinefunction(get_response):

        async def acall(request: Any) -> Any:
            with timezone.override(zoneinfo.ZoneInfo(request.headers["X-Zone"])):
                return await get_response(request)

        return acall

    def call(request: Any) -> Any:
        with timezone.override(zoneinfo.ZoneInfo(request.headers["X-Zone"])):
            return get_response(request)

    return call


def _state(request: Any, user: Any) -> str:
    seen = f"{user.get_username()} {get_language()} {timezone.get_current_timezone_name()}"
    mark = _mark.get()
    return f"{seen} {mark or request.session['n']}"


def view(request: Any) -> HttpResponse:
    before = _state(request, request.user)
    _mark.set(f"{request.session['n']}")
    if can_wait():
        sleep(0.001)
    else:
        time.sleep(0.001)
    return HttpResponse(f"{before} | {_state(request, request.user)}")


async def async_view(request: Any) -> HttpResponse:
    user = await request.auser()
    before = await sync_to_async(_state)(request, user)
    _mark.set(f"{before.split()[-1]}")
    await asyncio.sleep(0.001)
    return HttpResponse(f"{before} | {await sync_to_async(_state)(request, user)}")


def typed() -> API:
    """Behind Django's own middleware alone, in C; the zone is the handler's."""
    names = [name for name in MIDDLEWARE if name != f"{THIS}.zone"]
    api = API(middleware=names)

    @api.get("/typed")
    async def handler(request: HttpRequest) -> HttpResponse:
        with timezone.override(zoneinfo.ZoneInfo(request.headers["X-Zone"])):
            user = await request.auser()
            await request.session.aget("n")
            before = _state(request, user)
            _mark.set(before.split()[-1])
            await asyncio.sleep(0.001)
            return HttpResponse(f"{before} | {_state(request, user)}")

    @api.get("/typed-sync")
    def sync_handler(request: HttpRequest) -> HttpResponse:
        with timezone.override(zoneinfo.ZoneInfo(request.headers["X-Zone"])):
            return view(request)

    # Behind no middleware: what a request has left behind in the thread would be seen.
    @api.get("/bare", middleware=False)
    def bare() -> HttpResponse:
        return HttpResponse(f"{get_language()} {timezone.get_current_timezone_name()}")

    return api


def _cookie(number: int) -> str:
    store = SessionStore()
    user = get_user_model()(pk=number, password="!")
    store.update(
        {
            "_auth_user_id": str(number),
            "_auth_user_backend": "test_native_middleware.Backend",
            "_auth_user_hash": user.get_session_auth_hash(),
            "n": number,
        }
    )
    store.save()
    return f"sessionid={store.session_key}"


def _client(port: int, seed: int, cookies: list[str], wrong: list[str]) -> None:
    random = Random(seed)
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    for _ in range(REQUESTS):
        number = random.randrange(len(cookies))
        language, zone = random.choice(LANGUAGES), random.choice(ZONES)
        place = random.choice(PLACES)
        headers = {"Cookie": cookies[number], "Accept-Language": language, "X-Zone": zone}
        connection.request("GET", place, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        if place == "/bare":
            if body != "en-us UTC":
                wrong.append(f"{place}: {body}")
            continue
        one = f"user{number} {language} {zone} {number}"
        if body != f"{one} | {one}" or answer.headers["Content-Language"] != language:
            wrong.append(f"{place}: {body} for {one}")
    connection.close()


def test_none_sees_another(live: Callable[..., LiveServer]) -> None:
    server = live(
        urlconf(path("view", view), path("async", async_view), path("", typed().urls)),
        MIDDLEWARE=MIDDLEWARE,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        AUTHENTICATION_BACKENDS=["test_native_middleware.Backend"],
        USE_TZ=True,
        TIME_ZONE="UTC",
        LANGUAGE_CODE="en-us",
    )
    cookies = [_cookie(number) for number in range(20)]
    wrong: list[str] = []
    clients = [
        threading.Thread(target=_client, args=(server.port, seed, cookies, wrong))
        for seed in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
        assert not client.is_alive()
    assert not wrong, (len(wrong), wrong[:3])
    assert not server.errors
