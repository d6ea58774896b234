"""One suite for every way in which an API can be served: see README.md."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import live
import pytest
from live import MakeClient

from quintette import API
from quintette.testing import AsyncTestClient, Response, TestClient


class AsyncClient:
    """The asynchronous client behind the synchronous one's face."""

    def __init__(self, api: API, **options: Any) -> None:
        self._client = AsyncTestClient(api, **options)

    def request(self, method: str, path: str, **options: Any) -> Response:
        async def send() -> Response:
            return await self._client.request(method, path, **options)

        return asyncio.run(send())

    @property
    def cookies(self) -> dict[str, str]:
        return self._client.cookies

    @cookies.setter
    def cookies(self, cookies: dict[str, str]) -> None:
        self._client.cookies = cookies

    def __getattr__(self, name: str) -> Callable[..., Response]:
        return lambda path, **options: self.request(name.upper(), path, **options)


Client = TestClient | AsyncClient
BACKENDS = ["native", "native-async", "django", "django-async", *live.BACKENDS]
if "QUINTETTE_SANITIZED" in os.environ:
    # The others differ in Python alone, which no sanitizer looks at.
    BACKENDS = ["native", "django-async", "serve"]


@pytest.fixture(scope="session")
def servers() -> Iterator[live.Servers]:
    with live.Servers() as servers:
        yield servers


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connect(backend: str, servers: live.Servers) -> Iterator[MakeClient]:
    """Makes a client for an API; exceptions of handlers are answered with 500."""
    opened: list[live.Client] = []

    def make(api: API, **options: Any) -> Client:
        options["raise_errors"] = False
        name, _, way = backend.partition("-")
        if name in live.KINDS:
            opened.append(live.Client(api, servers[name], **options))
            return opened[-1]
        if way == "async":
            return AsyncClient(api, backend=name, **options)
        return TestClient(api, backend=name, **options)  # type: ignore[arg-type]

    yield make
    for client in opened:
        client.close()
