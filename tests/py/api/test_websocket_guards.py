"""Guards before WebSockets: they see the handshake as they see any request."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import override_settings

from quintette import (
    API,
    CORS,
    Compress,
    Conditional,
    HTTPError,
    Throttle,
    WebSocket,
)
from quintette.api.guards import Hook
from quintette.testing import AsyncTestClient, Response, WebSocketRefused

SECONDS = 60
Fields = list[tuple[str, str]]


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(SECONDS):
            await test()

    asyncio.run(main())


def make(*guards: Any) -> API:
    api = API(guards=guards)

    @api.websocket("/echo")
    async def echo(socket: WebSocket[str, str]) -> None:
        async for message in socket:
            await socket.send(message)

    return api


async def open_once(api: API, **options: Any) -> Response:
    try:
        client = AsyncTestClient(api, raise_errors=False)
        async with client.websocket_connect("/echo", **options) as socket:
            await socket.send("hi")
            assert await socket.receive() == "hi"
            return socket.response
    except WebSocketRefused as refused:
        return refused.response


async def slowly(request: HttpRequest) -> None:
    await asyncio.sleep(0)
    if "X-Bad" in request.headers:
        raise HTTPError(401)


def at_once(request: HttpRequest) -> None:
    if "X-Bad" in request.headers:
        raise HTTPError(401)


@pytest.mark.parametrize("before", [slowly, at_once])
def test_before(before: Callable[[HttpRequest], Any]) -> None:
    api = make(Hook(before=before))

    async def test() -> None:
        assert (await open_once(api)).status_code == 101
        assert (await open_once(api, headers={"X-Bad": "yes"})).status_code == 401

    run(test)


def test_after() -> None:
    seen: list[int] = []

    def after(request: HttpRequest, status: int, fields: Fields) -> None:
        seen.append(status)
        fields.append(("X-Guard", "was here"))

    async def test() -> None:
        response = await open_once(make(Hook(after=after)))
        assert response.status_code == 101
        assert response.headers["X-Guard"] == "was here"
        assert response.headers["Upgrade"] == "websocket"
        assert seen == [101]  # not again when the handler ends

    run(test)


def test_a_guard_that_fails_behind_the_handshake_refuses_it() -> None:
    def after(request: HttpRequest, status: int, fields: Fields) -> None:
        raise HTTPError(418)

    async def test() -> None:
        assert (await open_once(make(Hook(after=after)))).status_code == 418

    run(test)


def test_a_field_that_cannot_be_sent_refuses_it() -> None:
    def after(request: HttpRequest, status: int, fields: Fields) -> None:
        fields.append(("X-Guard", "a\r\nb"))

    async def test() -> None:
        assert (await open_once(make(Hook(after=after)))).status_code == 500

    run(test)


def test_guards_of_responses_let_it_pass() -> None:
    origin = "https://app.example.com"
    api = API(guards=[CORS(origins=[origin]), Compress(), Conditional(), Throttle("2/m")])

    @api.websocket("/echo", origins=[origin])
    async def echo(socket: WebSocket[str, str]) -> None:
        async for message in socket:
            await socket.send(message)

    async def test() -> None:
        headers = {"Origin": origin, "Accept-Encoding": "gzip, br, zstd"}
        for status in (101, 101, 429):
            response = await open_once(api, headers=headers)
            assert response.status_code == status
            assert "Content-Encoding" not in response.headers
            assert "ETag" not in response.headers

    run(test)


SESSIONS = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


def unknown_middleware(get_response: Any) -> Any:
    return get_response


def test_middleware_that_runs_natively_sees_the_handshake() -> None:
    api = API()

    @api.websocket("/who")
    async def who(socket: WebSocket[str, str], request: HttpRequest) -> None:
        await socket.send(f"{request.user} {type(request.session).__name__}")

    async def test() -> None:
        async with AsyncTestClient(api).websocket_connect("/who") as socket:
            assert await socket.receive() == "AnonymousUser SessionStore"
            assert socket.response.headers["X-Content-Type-Options"] == "nosniff"

    with override_settings(
        MIDDLEWARE=SESSIONS, SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"
    ):
        run(test)


def test_behind_other_middleware_the_answer_says_what_is_missing() -> None:
    async def test() -> None:
        response = await open_once(make())
        assert response.status_code == 501
        assert "manage.py serve" in response.json()["detail"]

    with override_settings(MIDDLEWARE=[f"{__name__}.unknown_middleware"]):
        run(test)


def count_objects() -> int:
    gc.collect()
    kinds = {"WebSocket", "WebSocketReceive", "WebSocketSend", "Wait"}
    return sum(type(item).__name__ in kinds for item in gc.get_objects())


def test_what_a_socket_holds_goes_with_it() -> None:
    api = make(Hook(before=slowly))
    before = count_objects()  # other tests' loops may have ended before their handlers

    async def test() -> None:
        for _ in range(20):
            assert (await open_once(api)).status_code == 101
            assert (await open_once(api, headers={"X-Bad": "yes"})).status_code == 401
        await asyncio.sleep(0)

    run(test)
    assert count_objects() <= before
