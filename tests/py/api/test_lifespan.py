"""Start-up and shutdown: the order, what fails, what handlers get, each way in which it is run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest

from quintette import API, Depends, lifespan
from quintette.lifespan import Hooks, Life, LifespanError
from quintette.testing import AsyncTestClient, TestClient


def _api(seen: list[Any]) -> API:
    api = API()

    @api.on_startup
    async def first() -> None:
        seen.append("first")

    @api.lifespan
    async def number() -> AsyncIterator[int]:
        seen.append("open")
        yield 7
        seen.append("close")

    @api.on_startup
    def in_thread() -> None:
        seen.append(("thread", threading.current_thread() is threading.main_thread()))
        seen.append(number())  # opened before

    @api.on_shutdown
    async def last() -> None:
        seen.append("last")

    @api.get("/")
    async def handler(it: Annotated[int, Depends(number)]) -> int:
        return it

    return api


def test_order() -> None:
    """Down again in the opposite order."""
    seen: list[Any] = []
    with TestClient(_api(seen)) as client:
        assert seen == ["first", "open", ("thread", False), 7]
        seen.clear()
        assert client.get("/").json() == 7
    assert seen == ["last", "close"]


def test_asynchronous_client() -> None:
    seen: list[Any] = []

    async def run() -> None:
        async with AsyncTestClient(_api(seen)) as client:
            assert (await client.get("/")).json() == 7

    asyncio.run(run())
    assert seen[-2:] == ["last", "close"]


def test_what_is_not_open_says_so() -> None:
    api = _api([])
    with pytest.raises(LifespanError, match="number is not open"):
        TestClient(api).get("/")
    with TestClient(api):
        pass
    with pytest.raises(LifespanError):
        TestClient(api).get("/")


def test_what_was_opened_is_closed_when_another_fails() -> None:
    seen: list[str] = []
    hooks = Hooks()

    @hooks.lifespan
    async def one() -> AsyncIterator[None]:
        try:
            yield
        finally:
            seen.append("closed")

    @hooks.on_startup
    async def two() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(Life(10, [hooks]).begin())
    assert seen == ["closed"]
    with pytest.raises(LifespanError):
        one()


@pytest.mark.parametrize("at_end", [False, True])
def test_it_has_an_end(at_end: bool) -> None:
    hooks = Hooks()

    async def forever() -> None:
        await asyncio.Event().wait()

    (hooks.on_shutdown if at_end else hooks.on_startup)(forever)

    async def run() -> None:
        async with Life(0.01, [hooks]):
            pass

    with pytest.raises(TimeoutError):
        asyncio.run(run())


def test_a_lifespan_yields() -> None:
    with pytest.raises(TypeError, match="asynchronous generator"):

        @API().lifespan  # type: ignore[arg-type]
        async def nothing() -> None: ...


async def _speak(application: Any) -> list[str]:
    """As an ASGI server does (ASGI, "Lifespan Protocol")."""
    sent: list[str] = []
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(f"{message['type']} {message.get('message', '')}".strip())

    await application({"type": "lifespan"}, receive, send)
    return sent


def test_asgi(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    from django.test import override_settings
    from django.urls import path

    seen: list[Any] = []
    monkeypatch.setattr(lifespan, "_mounted", [])
    urlconf = types.ModuleType("lifespan_urls")
    urlconf.urlpatterns = [path("", _api(seen).urls)]  # type: ignore[attr-defined]

    async def django(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    application = lifespan.asgi(django)
    with override_settings(ROOT_URLCONF=urlconf):
        assert asyncio.run(_speak(application)) == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
    assert seen == ["first", "open", ("thread", False), 7, "last", "close"]
    asyncio.run(application({"type": "http"}, None, None))
    assert seen[-1] == "http"


def test_asgi_is_told_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = Hooks()

    @hooks.on_startup
    async def fails() -> None:
        raise ValueError("no")

    monkeypatch.setattr(lifespan, "_mounted", [hooks])
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    from django.test import override_settings

    with override_settings(ROOT_URLCONF=()), pytest.raises(ValueError, match="no"):
        asyncio.run(lifespan.asgi(fails)({"type": "lifespan"}, receive, send))
    assert sent == [{"type": "lifespan.startup.failed", "message": "ValueError: no"}]
